"""Where each row of results stands among those whose scores compare: best, within noise of the best, or below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from core.run.methods import MethodRow, method_of
from s3tui.results.gains import Gain, Group, between, gains
from s3tui.results.summary import Contest, Groups, Row
from s3tui.text.units import count, points

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


def constants(rows: Sequence[Row]) -> list[str]:
    """What a constant answer scores, as `macro_f1 48.72, accuracy 95.00`; several if the rows have not one test split."""
    found = dict.fromkeys(
        ((row.metric, points(row.constant)), (row.second_metric, points(row.second_constant)))
        for row in rows
        if row.constant is not None
    )
    return sorted(", ".join(f"{name} {value}" for name, value in pairs if name) for pairs in found)


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


def comparisons(standings: Iterable[Standing]) -> Iterator[str]:
    """For each budget, a sentence for each search that ran beside a method without one: the difference of scores."""
    contests: dict[tuple[Contest, int], list[Standing]] = {}
    for standing in standings:
        if standing.row.budget is not None:
            contests.setdefault((standing.row.contest, standing.row.budget), []).append(standing)
    for (_, budget), contest in contests.items():
        others = [one.row for one in contest if not _way(one).searches and _way(one).budget != "ignored"]
        for method in dict.fromkeys(one.row.method for one in contest if _way(one).searches):
            if others:
                searched = max((one for one in contest if one.row.method == method), key=lambda one: one.row.score_mean)
                yield _comparison(budget, searched, max(others, key=lambda row: row.score_mean))


def _way(standing: Standing) -> MethodRow:
    return method_of(standing.row.method)


def _comparison(budget: int, standing: Standing, other: Row) -> str:
    ours, gain = standing.row, standing.gain
    difference = round(100 * (ours.score_mean - other.score_mean), 2)
    gained = f"{abs(difference):.2f} points {'above' if difference > 0 else 'below'}" if difference else "the same as"
    noisy = gain is not None and gain.baseline == other.experiment and gain.within_noise
    return (
        f"At a budget of {count(budget)} parameters, {ours.method} ({ours.experiment}, {points(ours.score_mean)}) is "
        f"{gained} the best without a search, {other.method} ({other.experiment}, {points(other.score_mean)})"
        f"{', which is within noise' if noisy else ''}; runs: {ours.runs} and {other.runs}."
    )
