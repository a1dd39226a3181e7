"""Reads the TOML file of a suite with limits, so that no file can hang a command or cause a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.run.rundir import open_plain
from s3tui.text.problems import ConfigError, dotted

MOST_BYTES = 2**20  # enough for a file written by hand
MOST_NESTED = 20  # levels of tables and arrays; a suite needs six
_TOO_DEEP = f"tables and arrays are nested more than {MOST_NESTED} deep"


def read_toml(file: Path) -> dict[str, Any]:
    """Parse a TOML file; raises ConfigError, with line and column of a syntax error."""
    import tomli

    text = _text(file)
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError([f"{file}: {_place(text, str(error))}"]) from None
    except RecursionError:
        raise ConfigError([f"{file}: {_TOO_DEEP}"]) from None
    except ValueError:  # an integer of thousands of digits, or an invalid date
        raise ConfigError([f"{file}: a number has too many digits, or a date is none: {_suspect(text)}"]) from None
    for key in _too_deep(document):
        raise ConfigError([f"{file}: {dotted(key)}: {_TOO_DEEP}"])
    return document


def _text(file: Path) -> str:
    """The text of a regular file; never blocks, as opening a pipe without a writer would."""
    try:
        with open_plain(file) as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise ConfigError([f"{file}: cannot be read: {error}"]) from None
    if len(content) > MOST_BYTES:
        raise ConfigError([f"{file}: is too large for a suite, which has at most {MOST_BYTES:,} bytes"])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: it is not UTF-8 text"]) from None


def _place(text: str, message: str) -> str:
    message, _, place = message.partition(" (at ")
    numbers = re.findall(r"\d+", place)
    # For an error at the end of the document, tomli gives no line.
    lines = text.split("\n")
    line, column = numbers if len(numbers) == 2 else (len(lines), len(lines[-1]) + 1)
    return f"line {line}, column {column}: {message}"


def _suspect(text: str) -> str:
    """The first line with a very long number, as tomli gives no line for it."""
    lines = enumerate(text.split("\n"), 1)
    found = next((number for number, line in lines if re.search(r"[0-9_]{1000}", line)), None)
    return "its line is not known" if found is None else f"line {found}"


def _too_deep(document: dict[str, Any]) -> Iterator[tuple[str | int, ...]]:
    """The beginnings of keys that are nested too deeply; computed without recursion."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while waiting:
        key, value = waiting.pop()
        if len(key) > MOST_NESTED:
            yield key[:3]
        elif isinstance(value, dict):
            waiting += [((*key, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*key, place), inner) for place, inner in enumerate(value)]
