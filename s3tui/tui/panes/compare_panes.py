"""The tabs of the comparison screen: curves, results, score against parameters, chosen candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from core.run.structure import Structure
from s3tui.listing.columns import COLUMNS, as_row
from s3tui.listing.grouping import flat
from s3tui.listing.run_row import Line
from s3tui.results.compare_runs import Chosen, by_settings, differing, frequencies
from s3tui.results.seed_means import Mean, front_of, means_of
from s3tui.results.summary import without_seed
from s3tui.runs.history import HistoryView
from s3tui.runs.workspace import FoundRun
from s3tui.text.sanitize import clean
from s3tui.text.units import count, points
from s3tui.tui.charts import run_overlays
from s3tui.tui.charts.figures import Figure, View
from s3tui.tui.panes.base import GridPane, Pane
from s3tui.tui.panes.loss import Charts, LossPane
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import bar, text
from s3tui.tui.tables.exported_table import Table
from s3tui.tui.tables.run_rows import marked, row_of
from s3tui.tui.widgets.grid import Column, Grid, Row
from s3tui.tui.widgets.plot import Plot

BAR = 20
SMOOTHING = 0.9  # the initial value, as several noisy curves hide each other
RESULTS = (
    Column("name", "run", 0, name=True), Column("status", "status", 11), Column("test", "test", 7, right=True),
    Column("verdict", "search", 11), Column("best", "best val", 8, right=True),
    Column("used", "budget used", 16, right=True),
    Column("seconds", "elapsed", 8, right=True),
)  # fmt: skip
POINTS = (
    Column("front", "", 1), Column("name", "run", 0, name=True), Column("parameters", "trained", 9, right=True, rank=1),
    Column("score", "test", 7, right=True), Column("verdict", "search", 11, rank=1),
)  # fmt: skip
CHOSEN = (
    Column("name", "candidate", 0), Column("bar", "chosen by", BAR), Column("times", "runs", 7, right=True),
    Column("p", "mean p", 7, right=True), Column("parameters", "parameters", 10, right=True),
)  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """The compared runs. `short` are their names without their common prefix.

    `overlaid` are the histories whose curves are drawn, by short names; `structures` those chosen so far.
    """

    lines: tuple[Line, ...] = ()
    runs: Mapping[str, FoundRun] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)
    overlaid: Mapping[str, HistoryView] = field(default_factory=dict)
    structures: Mapping[str, Structure] = field(default_factory=dict)


class ComparePane(Pane):
    """A tab about several runs."""

    def compare(self, compared: Compared) -> None:
        """Show the current state of the runs; called at most ten times a second, also if nothing has changed."""
        raise NotImplementedError


class CurvesPane(ComparePane, LossPane):
    """The Curves tab: losses, and scores over steps and over time, of all runs in one plot."""

    CHARTS: ClassVar[Charts] = {
        "training loss": run_overlays.train_losses, "score over steps": run_overlays.scores_by_step,
        "score over time": run_overlays.scores_by_time, "validation loss": run_overlays.validation_losses,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._shown: Mapping[str, HistoryView] = {}
        self._view = View(smoothing=SMOOTHING)

    def on_mount(self) -> None:
        """Hide the plots' legends: there is one above the tabs."""
        for plot in self.query(Plot):
            plot.has_legend = False

    def compare(self, compared: Compared) -> None:
        """Draw what has changed."""
        now = compared.overlaid
        same = now.keys() == self._shown.keys() and all(now[name] is self._shown[name] for name in now)
        if not same:
            self._shown = now
            self._draw()

    def _phases(self) -> list[str]:
        return [phase for history in self._shown.values() for phase in history.phases]


class ResultsPane(ComparePane, GridPane):
    """The Results tab: results of the runs, with the settings in which they differ."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Line, ...] = ()
        self._keys: list[str] = []
        self._settings: list[dict[str, Any]] = []

    def compose(self) -> ComposeResult:
        """A table."""
        grid = Grid(RESULTS, "these runs are gone", id="results")
        grid.border_title = "results, and the settings that differ"
        grid.border_subtitle = "left and right for more settings, enter opens"
        yield grid

    @property
    def table_on_screen(self) -> Table:
        """The runs, with the settings in which they differ."""
        settings = [{name: own.get(name) for name in self._keys} for own in self._settings]
        rows = [as_row(line) | own for line, own in zip(self._lines, settings, strict=True)]
        return Table("results", (*COLUMNS, *(name for name in self._keys if name not in COLUMNS)), tuple(rows))

    def compare(self, compared: Compared) -> None:
        """Show what has changed."""
        if compared.lines == self._lines:
            return
        self._lines = compared.lines
        specs = [compared.runs[line.name].spec for line in compared.lines]
        keys, grid = differing(specs), self.query_one(Grid)
        self._settings = [dict(flat(spec)) for spec in specs]
        settings = [{name: _written(value) for name, value in own.items()} for own in self._settings]
        if keys != self._keys:
            self._keys = keys
            grid.show_columns([*RESULTS, *(_column(name, settings) for name in keys)], all_of_them=True)
        short = compared.short
        grid.show([_result(n, own, keys, short[n.name]) for n, own in zip(compared.lines, settings, strict=True)])


def _column(name: str, settings: Sequence[Mapping[str, str]]) -> Column:
    """A column for a setting, as wide as its values; of a long name only the end is shown."""
    widest = max(len(own.get(name, "-")) for own in settings)
    width = min(24, max(widest, min(len(name), 20)))
    return Column(f"={name}", name if len(name) <= width else f"…{name[1 - width :]}", width, name=True)


def _result(line: Line, settings: Mapping[str, str], keys: Sequence[str], short: str) -> Row:
    cells = dict(row_of(line).cells) | {"name": text(clean(short))}
    return Row(line.name, cells | {f"={name}": text(settings.get(name, "-")) for name in keys})


def _written(value: object) -> str:
    return clean(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


class PointsPane(ComparePane):
    """The Points tab: mean score against parameters over runs that differ only in the seed, with the Pareto front."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Line, ...] = ()
        self._means: list[Mean] = []

    def compose(self) -> ComposeResult:
        """A scatter plot, and its points as a table if there is room."""
        with Horizontal():
            yield Plot(id="points", empty="none of these runs is finished yet")
            grid = Grid(POINTS, "no run is finished yet", id="points-table")
            grid.border_title, grid.border_subtitle = "finished", "◆ Pareto front"
            yield grid

    def take_focus(self) -> None:
        """The table has the keys."""
        self.query_one(Grid).focus()

    @property
    def figure_on_screen(self) -> Figure:
        """The scatter plot."""
        return self.query_one(Plot).figure

    @property
    def grid_on_screen(self) -> Grid:
        """The points."""
        return self.query_one(Grid)

    @property
    def table_on_screen(self) -> Table:
        """The runs with the mean over their seeds, and whether that is on the Pareto front."""
        front = front_of(self._means)
        rows = [
            {"run": line.name, "parameters": line.parameters, "score": line.score, "mean": mean.score,
             "std": mean.spread, "pareto": mean.name in front}
            for mean in self._means for line in mean.lines
        ]  # fmt: skip
        return Table("points", ("run", "parameters", "score", "mean", "std", "pareto"), tuple(rows))

    def compare(self, compared: Compared) -> None:
        """Draw what has changed."""
        if compared.lines == self._lines:
            return
        self._lines = compared.lines
        self._means = means_of(compared.lines, {name: run.spec for name, run in compared.runs.items()})
        self.query_one(Plot).draw(run_overlays.score_against_parameters(self._means))
        front = front_of(self._means)
        rows = [row for mean in self._means for row in _point_rows(mean, compared.short, mean.name in front)]
        self.query_one(Grid).show(rows)


def _point_rows(mean: Mean, short: Mapping[str, str], is_front: bool) -> Iterator[Row]:
    """The runs of a point; above several seeds their mean, the standard deviation where no name shortens it."""
    mark = text("◆" if is_front else "", "accent")
    if mean.spread is not None:
        name = without_seed(short[mean.lines[0].name]) or mean.name
        cells = {
            "front": mark, "name": ((f"± {points(mean.spread)} ", "muted"), *text(clean(f"mean of {name}"), "strong")),
            "parameters": text(count(mean.parameters)), "score": text(f"{points(mean.score)} "),
        }  # fmt: skip
        yield Row(f"\0{mean.name}", cells, heading=True)
    for line in mean.lines:
        tone = "strong" if is_front else ""
        own = {
            "front": mark if mean.spread is None else (), "name": text(clean(short[line.name])),
            "parameters": text(count(line.parameters)), "score": marked(text(points(line.score), tone), line),
        }  # fmt: skip
        yield Row(line.name, dict(row_of(line).cells) | own)


class ChosenPane(ComparePane, GridPane):
    """The Chosen tab: how often each candidate was chosen, over all runs or over those that differ only in the seed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("f", "next_group", "Runs", "Over all runs, or over the seeds of one setting", footer=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[object, ...] = ()
        self._compared = Compared()
        self._group = ""

    def compose(self) -> ComposeResult:
        """A table with bars."""
        empty = "None of these runs has chosen a structure yet.\n\nA search chooses when it ends"
        grid = Grid(CHOSEN, empty, id="chosen")
        grid.border_subtitle = "runs: of those whose space has the candidate"
        yield grid

    @property
    def table_on_screen(self) -> Table:
        """The candidates, with unrounded p."""
        found = frequencies([self._compared.structures[name] for name in self._names()])
        rows = [{"candidate": one.candidate.name} | asdict(one.candidate) | _counts(one) for one in found]
        return Table("candidates", tuple(rows[0]) if rows else (), tuple(rows))

    def compare(self, compared: Compared) -> None:
        """Show what has changed."""
        self._compared = compared
        names = self._names()
        asked = (self._group, tuple(id(compared.structures[name]) for name in names))
        if asked == self._shown:
            return
        self._shown = asked
        grid = self.query_one(Grid)
        over = (
            f"{len(names)} runs of {clean(self._group)}" if self._group else f"all {len(names)} runs with a structure"
        )
        grid.border_title = f"how often each candidate was chosen, over {over}"
        grid.show([_chosen(one) for one in frequencies([compared.structures[name] for name in names])])

    def _groups(self) -> dict[str, list[str]]:
        specs = {name: run.spec for name, run in self._compared.runs.items()}
        groups = by_settings(self._compared.lines, specs)
        return {"": [line.name for line in self._compared.lines]} | {k: g for k, g in groups.items() if len(g) > 1}

    def _names(self) -> list[str]:
        return [name for name in self._groups().get(self._group, ()) if name in self._compared.structures]

    def action_next_group(self) -> None:
        """Count over other runs."""
        groups = list(self._groups())
        place = groups.index(self._group) + 1 if self._group in groups else 0
        self._group = groups[place % len(groups)]
        self.compare(self._compared)


def _counts(one: Chosen) -> dict[str, float]:
    return {"chosen": one.times, "runs": one.of, "share": one.share, "mean_p": one.p}


def _chosen(one: Chosen) -> Row:
    cells = {
        "name": text(clean(one.candidate.name)), "bar": bar(one.share, BAR),
        "times": text(f"{one.times}/{one.of}"), "p": text(f"{one.p:.3f}"),
        "parameters": text(count(one.candidate.parameters)),
    }  # fmt: skip
    return Row(one.candidate.name, cells)
