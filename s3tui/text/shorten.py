"""Names shortened in the middle: their ends differ."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

LEFT_OUT = "…"


def shortened(name: str, room: int) -> str:
    """A name in at most `room` cells: `by-chance/…/seed=3`. Whole parts between slashes are left out if that is enough.

    Otherwise a third of the room shows the beginning, and two thirds the end.
    """
    if cell_len(name) <= room:
        return name
    first, *rest = name.split("/")
    for start in range(1, len(rest)):
        short = "/".join((first, LEFT_OUT, *rest[start:]))
        if cell_len(short) <= room:
            return short
    if room < 1:
        return ""
    head = set_cell_size(name, (room - 1) // 3)
    return f"{head}{LEFT_OUT}{_end(name, room - 1 - cell_len(head))}"


def _end(name: str, room: int) -> str:
    start, left = len(name), room
    while start and (left := left - cell_len(name[start - 1])) >= 0:
        start -= 1
    return name[start:]
