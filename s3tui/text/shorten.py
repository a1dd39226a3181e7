"""Names shortened in the middle: their ends differ, and the values of a matrix do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

LEFT_OUT = "…"
LEAST = 3  # cells in which a part can still be told from another


def shortened(name: str, room: int) -> str:
    """A name in at most `room` cells: `by-chance/…/seed=3`. Whole parts between slashes are left out if that is enough.

    Of a combination of settings the keys are left out next, `searched/0.005,lora,3`, and then all parts get even room.
    Otherwise a third of the room shows the beginning, and two thirds the end.
    """
    if cell_len(name) <= room:
        return name
    for form in (*_without_parts(name), *_without_keys(name)):
        if cell_len(form) <= room:
            return form
    return _evenly(name, room) or _cut(name, room)


def _without_parts(name: str) -> Iterator[str]:
    first, *rest = name.split("/")
    for start in range(1, len(rest)):
        yield "/".join((first, LEFT_OUT, *rest[start:]))


def _without_keys(name: str) -> Iterator[str]:
    """The name without the tables of its keys, then from the left on without the keys; nothing if it has few."""
    head, slash, combination = name.rpartition("/")
    settings = combination.split(",")
    if len(settings) < 2 or not all("=" in setting for setting in settings):
        return
    pairs = [(key.rpartition(".")[2], value) for key, _, value in (setting.partition("=") for setting in settings)]
    for bare in range(len(pairs) + 1):
        told = [value if place < bare else f"{key}={value}" for place, (key, value) in enumerate(pairs)]
        yield f"{head}{slash}{','.join(told)}"


def _evenly(name: str, room: int) -> str:
    """The values of a combination and what is before it, each in the same room; empty if that says too little."""
    *_, shortest = (name, *_without_keys(name))
    if shortest == name:
        return ""
    parts = re.split("([/,])", shortest)
    share = _share([cell_len(part) for part in parts[::2]], room - len(parts) // 2)
    if share < LEAST:
        return ""
    return "".join(part if cell_len(part) <= share else _cut(part, share) for part in parts)


def _share(lengths: Sequence[int], room: int) -> int:
    """How much of `room` each of several parts may have if short ones leave to the others what they do not need."""
    share = 0
    for taken, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - taken)
        if length > share:
            break
        room -= length
    return share


def _cut(name: str, room: int) -> str:
    if room < 1:
        return ""
    head = set_cell_size(name, (room - 1) // 3)
    return f"{head}{LEFT_OUT}{_end(name, room - 1 - cell_len(head))}"


def _end(name: str, room: int) -> str:
    start, left = len(name), room
    while start and (left := left - cell_len(name[start - 1])) >= 0:
        start -= 1
    return name[start:]
