"""Messages on stderr, colour, and exit codes (listed in `core.run.errors`) of all commands.

stdout is for data, stderr for messages. A user's mistake gives one line, never a traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.run.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, S3Error, UsageError
from s3tui.text.problems import ConfigError
from s3tui.text.sanitize import clean
from s3tui.text.streams import behind, guarded_streams

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM = "s3tui"
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)  # errors of paths that cannot exist
PIPE_WIDTH = 10_000  # columns if the output is not a terminal: nothing is wrapped or cut


def say(text: str) -> None:
    """Print a message on stderr."""
    # Flush stdout first, so that the order is right if both streams go to one file.
    sys.stdout.flush()
    print(clean(text), file=sys.stderr, flush=True)


def confirmed(question: str) -> bool:
    """Ask a yes-or-no question; raises UsageError if stdin is not a terminal."""
    if not sys.stdin.isatty():
        raise UsageError("stdin is not a terminal: pass --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report(error: S3Error) -> None:
    """Print an error, one line for each problem; problems of a file begin with its name, as editors expect."""
    lines = [f"{PROGRAM}: {line}" for line in str(error).split("\n")]
    for line in error.problems if isinstance(error, ConfigError) else lines:
        say(line)


def console(stderr: bool = False) -> Console:
    """A Rich console without markup; colour depends on the terminal and NO_COLOR."""
    from s3tui.text.console import CleanConsole

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return CleanConsole(file=behind(stream), width=width, markup=False, emoji=False, highlight=False)


def guarded(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; errors that a user can act on become a line on stderr."""
    with guarded_streams():
        try:
            code = _run(command)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader closed the pipe. Python flushes stdout again when it exits, so it gets another target.
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
