"""Formats numbers for display."""

from __future__ import annotations

ABSENT = "-"


def count(value: float | None) -> str:
    """A number of parameters: `102,458`."""
    return ABSENT if value is None else f"{round(value):,}"


def points(score: float | None) -> str:
    """A score between 0 and 1 in points: 0.6125 is `61.25`."""
    return ABSENT if score is None else f"{100 * score:.2f}"


def percent(share: float | None) -> str:
    """A share: 0.0004 is `0.0400%`."""
    return ABSENT if share is None else f"{100 * share:.4f}%"


def loss(value: float | None) -> str:
    """A loss, with three decimals."""
    return ABSENT if value is None else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """A time span: `42s`, `1m 23s`, `2h 05m`, `3d 04h`, `694d`."""
    if seconds is None:
        return ABSENT
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days >= 100:
        return f"{days}d"
    if days >= 2:
        return f"{days}d {hours_left:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def size(count_of_bytes: int) -> str:
    """The size of a file: `812 B`, `3.1 kB`, `20 MB`."""
    value, unit = float(count_of_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
