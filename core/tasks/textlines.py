"""Reads the lines of a text file, with checks of length and characters."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from core.run.datapath import check_data_path
from core.run.errors import DataError

LONGEST_LINE = 16 * 2**20  # characters


def text_lines(path: Path) -> Iterator[str]:
    """Lines that end with \\n, \\r or \\r\\n, ends included; raises DataError with the number of the first bad one.

    No other character ends a line: U+2028, form feeds and the like are part of the text.
    """
    check_data_path(path)
    with path.open("rb") as raw, io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if fault := _fault(line):
                raise DataError(f"{path}: line {number} {fault[0]}", fault[1])
            yield line


def _fault(line: str) -> tuple[str, str] | None:
    """What is wrong with a line, and what to do."""
    if "\0" in line:
        return "has a NUL character", "save the file as text in UTF-8"
    if not line.isascii():
        try:
            line.encode()
        except UnicodeEncodeError:  # of bytes that are not UTF-8
            return "is not UTF-8", "save the file as text in UTF-8"
    if len(line) > LONGEST_LINE:
        return f"has more than {LONGEST_LINE:,} characters", "write one row on each line"
    return None
