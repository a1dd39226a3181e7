"""Guards stdout and stderr: output to a terminal is sanitised, whoever prints it, except for our own colours.

Output to a file or a pipe is unchanged, except that lone surrogates, which cannot be encoded, become replacement
characters.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from s3tui.text.encode import AS_TEXT
from s3tui.text.sanitize import harmless


class Terminal:
    """A stream to a terminal that replaces control characters; `stream` is the wrapped one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text with control characters replaced."""
        self.stream.write(harmless(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # bytes that are written there would not be looked at
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """A context in which output to a terminal is sanitised, and file names that are not UTF-8 can be printed."""
    before = sys.stdout, sys.stderr
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace" if sys.stdout.isatty() else AS_TEXT)
    sys.stdout, sys.stderr = map(_guarded, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _guarded(stream: TextIO) -> TextIO:
    return cast(TextIO, Terminal(stream)) if stream.isatty() else stream


def behind(stream: TextIO) -> TextIO:
    """The stream wrapped by a guarded one, for callers that sanitise the text themselves."""
    return stream.stream if isinstance(stream, Terminal) else stream


def print_coloured(text: str) -> None:
    """Print text with our own colour sequences; parts of it that come from data must be sanitised already."""
    behind(sys.stdout).write(harmless(text, colours=True) + "\n" if sys.stdout.isatty() else f"{text}\n")
