"""`python -m s3tui`: the same as the command `s3tui`."""

from s3tui.cli.main import main

if __name__ == "__main__":
    main()
