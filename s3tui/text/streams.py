"""Where text leaves for a terminal: what is printed there, by whomever, has no controls but lines and our own colours.

A file or a pipe gets what is printed as it is, to the byte; halves of surrogate pairs, which no encoding has, become
replacement characters there too.
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
    """A stream to a terminal that no control gets through; `stream` is the one behind it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write it, its controls replaced."""
        self.stream.write(harmless(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # bytes that are written there would not be looked at
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """What is printed while this is entered is safe to look at, and names that are no UTF-8 stop no command."""
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
    """The stream behind a guarded one, for whoever sees to the text itself."""
    return stream.stream if isinstance(stream, Terminal) else stream


def print_coloured(text: str) -> None:
    """Print text whose colours are ours; whatever of it comes from data has been cleaned before they were added."""
    behind(sys.stdout).write(harmless(text, colours=True) + "\n" if sys.stdout.isatty() else f"{text}\n")
