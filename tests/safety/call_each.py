"""Calls commands one after the other, as one process that has a terminal: `call_each.py FILE`.

FILE is a list of commands, each a list of words. A line with MARK, its number and its exit code ends each.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from typer.main import get_command

from s3tui.cli.diagnostics import guarded
from s3tui.cli.main import app

MARK = "@@ended"


def main(file):
    command = get_command(app)
    for number, words in enumerate(json.loads(Path(file).read_bytes())):
        try:
            code = guarded(lambda words=words: command(words, prog_name="s3tui"))
        except BaseException:
            code = traceback.format_exc()
        sys.stdout.flush()
        os.write(1, f"\n{MARK} {number} {code}\n".encode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    main(sys.argv[1])
