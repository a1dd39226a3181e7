"""Commands of s3tui without a process for each, for campaigns that call thousands."""

import contextlib
import io

from s3tui.cli import app
from s3tui.diagnostics import PROGRAM, guarded

DOCUMENTED = {0, 1, 2, 130}  # the exit codes of core.run.errors


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr; whatever would end a process in a traceback is raised."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = guarded(lambda: app(list(arguments), prog_name=PROGRAM))
    return code, out.getvalue(), err.getvalue()
