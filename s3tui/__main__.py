"""`python -m s3tui` is the command `s3tui`."""

from s3tui.cli.main import main

if __name__ == "__main__":
    main()
