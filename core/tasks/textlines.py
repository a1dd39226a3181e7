"""Reads the lines of a text file, with checks of length and characters."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from core.run.errors import DataError
from core.tasks.encodings import UTF8
from core.tasks.opening import opened

LONGEST_LINE = 16 * 2**20  # characters


def text_lines(path: Path, encoding: str = UTF8) -> Iterator[str]:
    """Lines that end with \\n, \\r or \\r\\n, ends included; raises DataError with the number of the first bad one.

    No other character ends a line: U+2028, form feeds and the like are part of the text.
    """
    errors = "surrogateescape" if encoding == UTF8 else "strict"
    with opened(path) as raw, io.TextIOWrapper(raw, encoding, errors=errors, newline="") as file:
        number = 0
        try:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if fault := _fault(line):
                    raise DataError(f"{path}: line {number} {fault[0]}", fault[1])
                yield line
        except UnicodeError as error:
            raise DataError(
                f"{path}: line {number + 1} or one soon after it is not {encoding} ({error})",
                'save the file as UTF-8, or name its encoding, as in encoding = "cp1252"',
            ) from None


def _fault(line: str) -> tuple[str, str] | None:
    """What is wrong with a line, and what to do."""
    if "\0" in line:
        return "has a NUL character", 'save the file as UTF-8, or name its encoding, as in encoding = "utf-16-le"'
    if not line.isascii():
        try:
            line.encode()
        except UnicodeEncodeError:  # of bytes that are not UTF-8
            return "is not UTF-8", 'save the file as UTF-8, or name its encoding, as in encoding = "cp1252"'
    if len(line) > LONGEST_LINE:
        return f"has more than {LONGEST_LINE:,} characters", "write one row on each line"
    return None
