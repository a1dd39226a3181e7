"""`python -m core RUN_DIR`: one whole run, headless. Exit codes are those of `core.run.errors`."""

from __future__ import annotations

import sys
from pathlib import Path

from core.run.errors import EXIT_USAGE, S3Error
from core.run.rundir import RunDir


def main(arguments: list[str]) -> int:
    """Do the run that `arguments` name."""
    if len(arguments) != 1:
        print("usage: python -m core RUN_DIR", file=sys.stderr)
        return EXIT_USAGE
    from core.search.worker import execute

    try:
        return execute(RunDir(Path(arguments[0]).resolve()))
    except S3Error as error:
        print(f"core: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
