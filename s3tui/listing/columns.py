"""The columns of the table of runs, used by the app, `s3tui list`, filters, sorting, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.run.plugins import Registry
from s3tui.listing.run_row import Line
from s3tui.text.units import ABSENT, count, duration, loss, points

POINTS = 100.0  # scores are shown in points
NOTE = 70  # characters of a note in a table; JSON, CSV and `show` have the whole text


@dataclass(frozen=True)
class InApp:
    """How the app shows a column: its header (its name by default), its place from the left, its width in cells.

    A width of 0 takes the remaining room. If room is short, columns of high `rank` are hidden first. A column that is
    not `shown` can be switched on with a key. By default numbers are aligned to the `right`.
    """

    title: str = ""
    place: int = 100
    width: int = 12
    rank: int = 100
    shown: bool = False
    right: bool | None = None
    tone: Callable[[Line], str] = lambda line: ""


@dataclass(frozen=True)
class InList:
    """The header of a column in the table that `s3tui list` prints, and its place from the left."""

    title: str
    place: int = 100


@dataclass(frozen=True)
class Column:
    """A column: `name` is its key in JSON and CSV, in filters and in sorting.

    `value` computes the value for a run: a number, a text or, for "texts", a tuple of texts; None if there is none. By
    default it is the field of `Line` of that name. `write` formats it for display. `app` is None if the app shows it as
    part of another column, `listed` is None if only JSON and CSV have it. Filters take what is shown: `scale` times the
    value.
    """

    name: str
    kind: Literal["text", "texts", "number"] = "text"
    write: Callable[[Line], str] | None = None
    app: InApp | None = InApp()
    listed: InList | None = None
    value: Callable[[Line], Any] | None = None
    filtered_as: str = ""
    scale: float = 1.0

    def of(self, line: Line) -> Any:
        """The value for a run, for export, filters and sorting."""
        return getattr(line, self.name) if self.value is None else self.value(line)

    def written(self, line: Line) -> str:
        """The value for a run, formatted for display."""
        if self.write is not None:
            return self.write(line)
        value = self.of(line)
        if self.kind == "texts":
            return " ".join(value)
        if self.kind == "number":
            return ABSENT if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"
        return str(value or "")


def progress(line: Line) -> str:
    """The phase and its progress."""
    if not line.phase:
        return ABSENT
    return f"{line.phase} {line.step}/{line.total}" if line.step is not None and line.total else line.phase


def tested(line: Line) -> float | None:
    """The score on the test split, which a run has when it is finished."""
    return line.score if line.status == "finished" else None


def validated(line: Line) -> float | None:
    """The latest score on the validation split, until the run is finished."""
    return None if line.status == "finished" else line.score


def _note(line: Line) -> str:
    return line.note if len(line.note) <= NOTE else f"{line.note[: NOTE - 1]}…"


def _verdict(line: Line) -> str | None:
    return None if line.verdict is None else line.verdict.word


def _tone(line: Line) -> str:
    return "warn" if line.verdict is not None and line.verdict.is_poor else "muted"


# In the order of export. Ranks in the app are by importance: name, status, progress, scores.
OWN = (
    Column("name", app=InApp("run", 1, 0, 0, shown=True), listed=InList("name", 0)),
    Column("suite", app=InApp("", 14, 12, 20)),
    Column("status", app=InApp("", 0, 11, 1, shown=True), listed=InList("status", 1)),
    Column(
        "note", write=_note, app=InApp("", 20, 30, 10, shown=True, tone=lambda line: "muted"), listed=InList("note", 8)
    ),
    Column("task", app=InApp("", 2, 14, 9, shown=True), listed=InList("task", 7)),
    Column("method", app=InApp("", 3, 8, 4, shown=True), listed=InList("method", 6)),
    Column("model", app=InApp("", 15, 18, 21)),
    Column("seed", "number", app=InApp("", 16, 5, 22)),
    Column("phase", write=lambda line: line.phase or ABSENT, app=InApp("", 4, 7, 6, shown=True)),
    Column("step", "number", progress, InApp("progress", 5, 16, 3, shown=True, right=False), InList("progress", 2)),
    Column("total", "number", app=None),
    Column("score", "number", lambda line: points(line.score), app=None, scale=POINTS),
    Column(
        "test", "number", lambda line: points(tested(line)), InApp("", 8, 7, 2, shown=True, tone=lambda line: "strong"),
        InList("test", 3), tested, scale=POINTS,
    ),
    Column("val", "number", lambda line: points(validated(line)), InApp("", 8, 7, 6), None, validated, scale=POINTS),
    Column("best", "number", lambda line: points(line.best), InApp("best val", 9, 8, 5, shown=True),
           InList("best val", 3), scale=POINTS),
    Column("verdict", app=InApp("search", 8, 11, 7, shown=True, tone=_tone), value=_verdict),
    Column("parameters", "number", lambda line: count(line.parameters), InApp("trained", 10, 9, 9, shown=True),
           InList("parameters", 4)),
    Column("used", "number", lambda line: count(line.used), InApp("budget used", 10, 16, 14, shown=True)),
    Column("budget", "number", lambda line: count(line.budget), app=None),
    Column("train_loss", "number", lambda line: loss(line.train_loss), InApp("train loss", 6, 10, 8, shown=True)),
    Column("validation_loss", "number", lambda line: loss(line.validation_loss),
           InApp("val loss", 7, 8, 10, shown=True)),
    Column("seconds", "number", lambda line: duration(line.seconds), InApp("elapsed", 12, 8, 12, shown=True),
           InList("time", 5)),
    Column("left", "number", lambda line: duration(line.left), InApp("", 13, 7, 4, shown=True)),
    Column("device", write=lambda line: line.device or ABSENT, app=InApp("", 11, 8, 13, shown=True)),
    Column("priority", "number", app=InApp("prio", 18, 5, 24, tone=lambda line: "" if line.priority else "muted")),
    Column("tags", "texts", app=InApp("", 19, 12, 25), filtered_as="tag"),
)  # fmt: skip

COLUMNS = Registry("columns", Column, {column.name: column for column in OWN})


def as_row(line: Line) -> dict[str, Any]:
    """A run for export: the value of every column by its name."""
    return {name: column.of(line) for name, column in COLUMNS.items()}


def in_app() -> list[tuple[Column, InApp]]:
    """The columns that the app can show, from left to right."""
    found = [(column, column.app) for column in COLUMNS.values() if column.app is not None]
    return sorted(found, key=lambda pair: pair[1].place)


def in_list() -> list[tuple[Column, InList]]:
    """The columns of the table that `s3tui list` prints, from left to right."""
    found = [(column, column.listed) for column in COLUMNS.values() if column.listed is not None]
    return sorted(found, key=lambda pair: pair[1].place)


def by_filter() -> Mapping[str, Column]:
    """The columns by their keys in filters."""
    return {column.filtered_as or name: column for name, column in COLUMNS.items()}
