"""Commands of s3tui without a process for each, for campaigns that call thousands."""

import contextlib
import io

from s3tui.cli.diagnostics import PROGRAM, guarded
from s3tui.cli.main import app

DOCUMENTED = {0, 1, 2, 130}  # the exit codes of core.run.errors


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr; whatever would end a process in a traceback is raised."""
    # As a terminal's: bytes in the end, so that what cannot be encoded shows.
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = guarded(lambda: app(list(arguments), prog_name=PROGRAM))
    return code, _content(out), _content(err)


def _content(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
