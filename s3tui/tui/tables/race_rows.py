"""The rows of a race's arms, and what is said above them."""

from __future__ import annotations

from dataclasses import replace

from s3tui.report.race_answer import answer_lines, by_hand, short_name, values_of, why_lost
from s3tui.report.race_view import RaceView
from s3tui.runs.curves import Curve
from s3tui.scheduling.races import ordinal
from s3tui.text.sanitize import clean
from s3tui.text.units import count, duration, points
from s3tui.tui.charts.figures import FADED, Figure, Trace
from s3tui.tui.support.palette import Cell, bar, text
from s3tui.tui.tables.exported_table import Table
from s3tui.tui.widgets.grid import Column, Row

COLUMNS = (
    Column("number", "#", 3, right=True), Column("arm", "arm", name=True), Column("fate", "state", 12),
    Column("rung", "rung", 6, right=True), Column("place", "place", 10, right=True),
    Column("score", "val", 7, right=True), Column("steps", "steps", 8, right=True, rank=2),
    Column("seconds", "time", 8, right=True, rank=1),
)  # fmt: skip
BAR = 12
TONES = {"dropped": "muted", "lost": "bad", "final": "good", "under way": "accent", "goes on": "accent"}
OUT = ("dropped", "lost")


def columns_of(view: RaceView) -> tuple[Column, ...]:
    """The columns; that of the arms names the settings whose values it has."""
    keys = ", ".join(part.partition("=")[0] for part in short_name(view.standing[0]).split(","))
    return tuple(replace(column, title=keys) if column.key == "arm" else column for column in COLUMNS)


def rows_of(view: RaceView) -> list[Row]:
    """The arms, the best of those that came farthest first."""
    return [Row(name, _cells(view, name)) for name in view.standing]


def _cells(view: RaceView, name: str) -> dict[str, Cell]:
    place, arm = view.race.decision.places[name], view.arms[name]
    tone = "muted" if place.fate in OUT else ""
    by = by_hand(view.race, name)
    fate = text(place.fate if not by else f"{place.fate} ✎", TONES.get(place.fate, ""))
    return {
        "number": text(str(view.numbers[name]), tone),
        "arm": text(clean(values_of(name)), tone),
        "fate": fate,
        "rung": text(str(place.step or "-"), tone),
        "place": text(f"{ordinal(place.rank)} of {place.of}" if place.step else "-", tone),
        "score": text(points(arm.scores[place.step]) if place.step else "-", tone),
        "steps": text(count(arm.steps), tone),
        "seconds": text(duration(arm.seconds), tone),
    }


def table_of(view: RaceView) -> Table:
    """The same with unrounded values."""
    found = []
    for name in view.standing:
        place, arm = view.race.decision.places[name], view.arms[name]
        score = arm.scores.get(place.step)
        said = {"number": view.numbers[name], "arm": name, "state": place.fate, "by_hand": by_hand(view.race, name)}
        stands = {"rung": place.step, "rank": place.rank, "of": place.of, "validation": score}
        cost = {"steps": arm.steps, "seconds": arm.seconds, "lost": why_lost(view.race, name)}
        found.append(said | stands | cost)
    return Table("arms", tuple(found[0]) if found else (), tuple(found))


def curves_of(view: RaceView) -> Figure:
    """Validation scores over steps of retraining; the rungs part them, and arms that are out are faded."""
    fates = {name: view.race.decision.places[name].fate for name in view.standing}
    racing = [name for name in view.standing if fates[name] not in OUT]
    # What is drawn later lies above the others: the best last.
    drawn = [Trace(name, _hundredfold(view.curves[name]), FADED) for name in fates if name not in racing]
    drawn += [Trace(str(view.numbers[name]), _hundredfold(view.curves[name]), i) for i, name in enumerate(racing)][::-1]
    rungs = tuple(float(step) for step in view.race.record.rules.rungs)
    return Figure("validation x 100 of arm", tuple(trace for trace in drawn if trace.curve), borders=rungs)


def _hundredfold(curve: Curve) -> Curve:
    return Curve(curve.x, tuple(100 * y for y in curve.y))


def headline(view: RaceView) -> list[Cell]:
    """The race, and how many arms stand where."""
    race = view.race
    fates = [place.fate for place in race.decision.places.values()]
    cells = [text("race  ", "muted"), text(f"{clean(race.name)}  ", "strong")]
    cells += [text(f"{fates.count(fate)} {fate}  ", TONES.get(fate, "")) for fate in dict.fromkeys(fates)]
    if race.record.hand.ended:
        cells.append(text("ended by hand  ", "warn"))
    elif race.decision.spent:
        cells.append(text("its budget is spent  ", "warn"))
    return cells


def subline(view: RaceView) -> list[Cell]:
    """The compute that is spent and left."""
    compute = view.compute
    whole = compute.steps + compute.left_steps
    cells = [bar(compute.steps / whole if whole else 0.0, BAR), text(f" {compute.steps:,} steps  ")]
    cells.append(text(f"{duration(compute.seconds)}  "))
    if view.race.decision.over:
        return [*cells, text("over", "good")]
    cells.append(text("left at most ", "muted"))
    cells.append(text(f"{compute.left_steps:,} steps"))
    return cells if compute.left_seconds is None else [*cells, text(f"  {duration(compute.left_seconds)}")]


def answer(view: RaceView) -> list[list[Cell]]:
    """The answer; before there is one, what the race waits for, if it waits."""
    if not view.race.decision.over and not view.race.decision.halted:
        return []
    return [[text(clean(line))] for line in answer_lines(view.race)]
