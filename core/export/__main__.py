"""`python -m core.export RUN_DIR KIND OUTPUT [NAME]`: export a run, and print what was written as JSON.

An error is printed as `{"message": ..., "hint": ...}`; exit codes are those of `core.run.errors`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.export.writing import WRITERS, export
from core.run.errors import EXIT_OK, EXIT_USAGE, S3Error


def main(arguments: list[str]) -> int:
    """Write the export that `arguments` describe; returns the exit code."""
    if len(arguments) not in (3, 4) or arguments[1] not in WRITERS:
        print(f"usage: python -m core.export RUN_DIR {'|'.join(WRITERS)} OUTPUT [NAME]", file=sys.stderr)
        return EXIT_USAGE
    run, kind, output, *name = arguments
    try:
        print(json.dumps(export(Path(run), kind, Path(output), name[0] if name else None)))
        return EXIT_OK
    except S3Error as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
