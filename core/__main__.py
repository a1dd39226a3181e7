"""`python -m core RUN_DIR`: one whole run, headless. Exit codes are those of `core.run.errors`."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from core.run.errors import EXIT_USAGE, S3Error
from core.run.rundir import RunDir


def main(arguments: list[str]) -> int:
    """Do the run that `arguments` name."""
    if len(arguments) != 1:
        print("usage: python -m core RUN_DIR", file=sys.stderr)
        return EXIT_USAGE
    # Imports leave a million objects and hardly any garbage; to look for it again and again takes a sixth of the
    # start. Collecting begins when everything is loaded, see core.search.pipeline.
    gc.disable()
    from core.search.worker import execute

    try:
        return execute(RunDir(Path(arguments[0]).resolve()))
    except S3Error as error:
        print(f"core: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
