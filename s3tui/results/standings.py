"""Where each row of results stands among those whose scores compare: best, within noise of the best, or below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from s3tui.results.gains import Gain, Group, between, gains
from s3tui.results.summary import Contest, Groups, Row
from s3tui.text.units import points

Place = Literal["best", "within noise", "best, not known how sure", ""]


@dataclass(frozen=True)
class Standing:
    """A row, its gain over the best baseline, and its place.

    `best`: the interval of its difference to the next row leaves 0 out, or there is no next one. `within noise`: it has
    the best score or does not differ from that one, as the interval of their difference covers 0. The best of rows
    without an interval is `best, not known how sure`.
    """

    row: Row
    gain: Gain | None
    place: Place


def standings(rows: Groups) -> list[Standing]:
    """The standings of rows, contest by contest, the best score first."""
    contests: dict[Contest, list[tuple[Row, Group]]] = {}
    for row, group in rows:
        contests.setdefault(row.contest, []).append((row, group))
    gained = gains(rows)
    return [standing for contest in contests.values() for standing in _of_contest(contest, gained)]


def _of_contest(contest: Sequence[tuple[Row, Group]], gained: Iterator[Gain | None]) -> Iterator[Standing]:
    """The standings of one contest. All that takes the predictions of a row is computed before those of the next."""
    first, *others = contest
    own = [next(gained)]
    behind = []
    for other in others:
        own.append(next(gained))
        behind.append(between(first, other))
    for (row, _), gain, place in zip(contest, own, _places(behind), strict=True):
        yield Standing(row, gain, place)


def _places(behind: Sequence[Gain]) -> list[Place]:
    """The places of a contest, from the differences of its best row to the others."""
    noisy: list[Place] = ["within noise" if gain.within_noise else "" for gain in behind]
    if "within noise" in noisy:
        return ["within noise", *noisy]
    return ["best, not known how sure" if behind and behind[0].interval is None else "best", *noisy]


def score(row: Row) -> str:
    """The mean score in points, ± its standard deviation over seeds."""
    return points(row.score_mean) + ("" if row.score_std is None else f" ± {points(row.score_std)}")


def written(gain: Gain) -> str:
    """A gain in points, with its interval."""
    text = f"{100 * gain.difference:+.2f}"
    return text if gain.interval is None else f"{text} [{100 * gain.interval[0]:+.2f}, {100 * gain.interval[1]:+.2f}]"


# The keys of a gain in JSON and CSV.
GAINS = ("gain", "gain_low", "gain_high", "gain_over", "gain_pairs", "gain_interval")
KEYS = (*(field.name for field in fields(Row)), "place", *GAINS)


def as_row(standing: Standing) -> dict[str, Any]:
    """A standing for JSON and CSV, numbers unrounded."""
    gain = standing.gain
    values: Sequence[Any] = [None] * len(GAINS)
    if gain is not None:
        low, high = gain.interval or (None, None)
        values = [gain.difference, low, high, gain.baseline, gain.pairs, gain.over or None]
    return asdict(standing.row) | {"place": standing.place} | dict(zip(GAINS, values, strict=True))
