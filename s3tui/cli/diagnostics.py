"""The one place that owns stderr, colour and exit codes (their table is in `core.run.errors`).

stdout is data, stderr is narration. A person's mistake is told in a line, never with a traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.run.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, S3Error
from s3tui.text.problems import ConfigError
from s3tui.text.sanitize import clean
from s3tui.text.streams import behind, guarded_streams

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM = "s3tui"
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)  # what was given can be the path of nothing
PIPE_WIDTH = 10_000  # nothing is wrapped or cut for a reader that is no terminal


def say(text: str) -> None:
    """One line of narration."""
    # What was printed before should be seen before, also where both streams end up in one file.
    sys.stdout.flush()
    print(clean(text), file=sys.stderr, flush=True)


def report(error: S3Error) -> None:
    """Tell of a failure, a line for each problem; those of a file begin with its name, as editors expect."""
    lines = [f"{PROGRAM}: {line}" for line in str(error).split("\n")]
    for line in error.problems if isinstance(error, ConfigError) else lines:
        say(line)


def console(stderr: bool = False) -> Console:
    """A Rich console that takes strings as they are; colour follows the terminal and NO_COLOR."""
    from s3tui.text.console import CleanConsole

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return CleanConsole(file=behind(stream), width=width, markup=False, emoji=False, highlight=False)


def guarded(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; what a person can do something about becomes a line on stderr."""
    with guarded_streams():
        try:
            code = _run(command)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read has seen enough. Python would flush stdout again when it exits, so it gets another target.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        return code


def _run(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_OK if end.code is None else EXIT_FAILED
    except S3Error as error:
        report(error)
        return error.exit_code
    except KeyboardInterrupt:
        say(f"{PROGRAM}: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        say(f"{PROGRAM}: {error}")
        return EXIT_USAGE if error.errno in NO_PATH else EXIT_FAILED
    return EXIT_OK
