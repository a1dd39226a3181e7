"""The Structure tab: the structure of a run as table and map, its stability, and comparison with another run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.message import Message

from core.run.comparing import Difference, difference
from core.run.errors import S3Error
from core.run.structure import Candidate, Structure
from core.run.verdict import Verdict, verdict
from s3tui.listing.run_row import Line
from s3tui.runs.workspace import FoundRun
from s3tui.structures import peers
from s3tui.structures import selection_history as steady
from s3tui.structures.grid_layout import NO_MAP, gate_map, short_deltas
from s3tui.structures.peers import Peer
from s3tui.text.sanitize import clean
from s3tui.text.units import count
from s3tui.tui.charts.figures import steadiness
from s3tui.tui.dialogs.question import Choose
from s3tui.tui.panes.gate_pane_base import GatedPane
from s3tui.tui.panes.loss import MainPlot
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import Cell, plain, text
from s3tui.tui.widgets.grid import Column, Grid, Row
from s3tui.tui.widgets.heatmap import SELECTED, HeatMap
from s3tui.tui.widgets.message import MessageLines
from s3tui.tui.widgets.plot import Plot

SEEDS = "\0seeds"  # cannot be the name of a run
COLUMNS = (
    Column("name", "candidate", 0), Column("parameters", "params", 8, right=True), Column("p", "p", 6, right=True),
)  # fmt: skip
COMPARED = (
    Column("where", "", 5), Column("name", "candidate", 0), Column("parameters", "params", 8, right=True),
    Column("p", "p here", 7, right=True), Column("other", "p there", 7, right=True),
)  # fmt: skip
# For each way in which a candidate is selected: its value on the map, its mark there, and its tone in the table.
PLACES = {"both": (1.0, SELECTED, "good"), "here": (0.65, "< ", "accent"), "there": (0.3, " >", "warn")}


class StructurePane(GatedPane):
    """The tab."""

    PARTS = ("chosen", "where", "steady")
    BINDINGS: ClassVar[list[BindingType]] = [
        key("f", "against", "Against", "Against the structure of another run, or the mean over seeds", footer=True),
        key("v", "part", "Part", "To the next part: table, map, how steady it is", footer=True),
    ]

    class Loaded(Message):
        """A structure to compare with was read."""

        def __init__(self, other: Peer) -> None:
            self.other = other
            super().__init__()

    class NotLoaded(Message):
        """The structure to compare with could not be read."""

        def __init__(self, error: S3Error) -> None:
            self.error = error
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self.other: Peer | None = None
        self.verdict: Verdict | None = None  # on the structure that the run has chosen
        self._on_map: tuple[Candidate, ...] = ()
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """Messages, the map above the plot, and the table beside them."""
        yield MessageLines()
        with Container(classes="parts"):
            yield HeatMap(id="where", classes="part")
            table = Grid(COLUMNS, id="chosen")
            table.add_class("part")
            yield table
            yield MainPlot(id="steady", classes="part", empty="how steady it is shows once there are gates")

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Take the new state, and draw it."""
        is_news, self.verdict = line.verdict != self.verdict, line.verdict
        super().show(run, line, detail)
        if is_news:
            self.draw()

    @property
    def structure(self) -> Structure | None:
        """The structure, or the one that would be selected now; None before either is known."""
        selected, frame = self.selected, self.latest
        if selected is None or not self.candidates:
            return None
        p = tuple(frame.p) if frame else tuple(float(i in selected) for i in range(len(self.candidates)))
        budget = self.history.state.budget
        return Structure(self.candidates, p, tuple(sorted(selected)), None if budget is None else int(budget))

    # Drawing

    def draw(self) -> None:
        """Draw what has changed."""
        drawn = (self.latest, self.selected, self.map, self.choices, self.other, self.empty, self.verdict)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        structure = self.structure
        self.query_one(MessageLines).show(self._messages(structure))
        self._draw_table(structure)
        self._draw_map(structure)
        self.query_one("#steady", Plot).draw(steadiness(self.choices))

    def _difference(self, structure: Structure | None) -> Difference | None:
        return difference(structure, self.other.structure) if structure and self.other else None

    def _messages(self, structure: Structure | None) -> list[list[Cell]]:
        if structure is None:
            return []
        said = "selected" if self.history.selected is not None else "would be selected now"
        first = [text(f"{len(structure.selected)} of {len(self.candidates)} ", "strong"), text(f"{said}  ", "muted")]
        first.append(text(f"{count(structure.parameters)} parameters"))
        since = steady.steady_since(self.choices)
        if since is not None:
            first.append(text(f"  the same since step {since:,}", "muted"))
        if note := self.history.selected is None and self.rule.note(self.latest):
            first.append(text(f"  {note}", "muted"))
        return [first, self._against(self._difference(structure)), self._verdict(structure)]

    def _against(self, compared: Difference | None) -> list[Cell]:
        if compared is None or self.other is None:
            return [text("f  compares it with another run, or the mean over seeds", "muted")]
        shared = f"{len(compared.both)} in both, {len(compared.only_a)} only here, {len(compared.only_b)} only there"
        cells = [
            text("against ", "muted"),
            text(clean(self.other.name)),
            text(f": {shared}, Jaccard {compared.jaccard:.2f}"),
        ]
        if self.other.agreement is not None:
            cells.append(text(f"; the seeds among themselves {self.other.agreement:.2f}", "muted"))
        return cells

    def _verdict(self, structure: Structure) -> list[Cell]:
        """The verdict, before the end that on the gates so far, and a warning if one delta dominates."""
        dominant = steady.dominant(self.candidates, frozenset(structure.selected))
        cells = [text(f"{dominant}  ", "warn")] if dominant else []
        found = self.verdict if self.history.selected is not None else self._verdict_so_far(structure)
        if found is not None:
            so_far = "" if self.history.selected is not None else "so far "
            cells.append(text(f"{so_far}{found}", "warn" if found.is_poor else "muted"))
        return cells

    def _verdict_so_far(self, structure: Structure) -> Verdict | None:
        """Only in the second half of a search, as p is flat at the start of every one, and if it decides."""
        state, frame = self.history.state, self.latest
        if frame is None or self.rule.is_ordered:
            return None
        is_early = state.phase == "search" and state.total and frame.step < state.total / 2
        return None if is_early else verdict(structure, self.rule.by)

    def _draw_table(self, structure: Structure | None) -> None:
        table, compared = self.query_one("#chosen", Grid), self._difference(structure)
        # The map says why there is none, where it is beside the table.
        why = "" if self.query_one(HeatMap).display else self._why_no_structure()
        table.empty = why if structure is None else "nothing is selected"
        columns = COLUMNS if compared is None else COMPARED
        if table.columns != columns:
            table.show_columns(columns)
        against = None if compared is None else self.other
        table.border_title = plain("structure" if against is None else f"against {against.name}")
        table.show([] if structure is None else self._rows(structure, compared))

    def _rows(self, structure: Structure, compared: Difference | None) -> list[Row]:
        here = {c.name: structure.p[i] for i, c in enumerate(structure.candidates)}
        if compared is None or self.other is None:
            return [_row(c, self._short(structure.chosen), here, {}, "") for c in structure.chosen]
        there = {c.name: self.other.structure.p[i] for i, c in enumerate(self.other.structure.candidates)}
        groups = (("both", compared.both), ("here", compared.only_a), ("there", compared.only_b))
        short = self._short(c for _, group in groups for c in group)
        return [_row(c, short, here, there, where) for where, group in groups for c in group]

    def _short(self, candidates: Iterable[Candidate]) -> dict[str, str]:
        known = list(candidates)
        short = short_deltas([*(c.delta for c in self.candidates), *(c.delta for c in known)])
        return {c.name: f"{c.label} {short[c.delta]}" for c in known}

    def _draw_map(self, structure: Structure | None) -> None:
        heatmap, compared = self.query_one(HeatMap), self._difference(structure)
        heatmap.empty = self._why_no_structure() if structure is None else ""
        if structure is None:
            self._on_map = ()
            heatmap.show(NO_MAP, (), {})
        elif compared is None or self.other is None:
            self._on_map, chosen = structure.candidates, set(structure.selected)
            values = [float(i in chosen) for i in range(len(structure.candidates))]
            heatmap.show(self.map, values, dict.fromkeys(chosen, SELECTED))
        else:
            self._draw_both(structure, self.other.structure, compared)
        heatmap.border_subtitle = "[] selected" if compared is None else "[] both  < only here  > only there"
        self._name_cursor()

    def _draw_both(self, here: Structure, there: Structure, compared: Difference) -> None:
        groups = (("both", compared.both), ("here", compared.only_a), ("there", compared.only_b))
        where = {c.name: place for place, group in groups for c in group}
        union = tuple({c.name: c for c in (*here.candidates, *there.candidates)}.values())
        same = len(union) == len(here.candidates)
        self._on_map = union
        places = {i: PLACES[where[c.name]] for i, c in enumerate(union) if c.name in where}
        values = [places[i][0] if i in places else 0.0 for i in range(len(union))]
        self.query_one(HeatMap).show(
            self.map if same else gate_map(union), values, {i: mark for i, (_, mark, _) in places.items()}
        )

    @on(HeatMap.Moved)
    def _name_cursor(self) -> None:
        heatmap = self.query_one(HeatMap)
        there = self._on_map[heatmap.cursor : heatmap.cursor + 1]
        heatmap.border_title = plain(" ".join(("map", *self._short(there).values())))

    @on(Grid.Highlighted)
    def _find_on_map(self, message: Grid.Highlighted) -> None:
        for index, candidate in enumerate(self._on_map):
            if candidate.name == message.key:
                self.query_one(HeatMap).move_to(index)

    def _why_no_structure(self) -> str:
        if self.history.candidates and self.history.frames:
            known = self.rule.decided(self.history.frames)
            return "computing" if known else f"this run did not log its {self.rule.by}, by which it will select"
        return self.empty

    # Against another run

    def action_against(self) -> None:
        """Choose what to compare with."""
        runs, run = self.s3.snapshot.runs, self.run
        if run is None:
            return
        seeds = peers.seeds_of(run, runs)
        answers = [("", "", "nothing: this structure alone")]
        if len(seeds) > 1:
            answers.append((SEEDS, "", f"the mean over {len(seeds)} seeds of these settings"))
        answers += [(name, "", clean(name)) for name in runs if name != run.name]
        self.app.push_screen(Choose("Compare the structure with", answers), self._compare)

    def _compare(self, answer: str | None) -> None:
        runs, run = self.s3.snapshot.runs, self.run
        if answer is None or run is None:
            return
        if not answer:
            self.other = None
            self.draw()
            return
        wanted = [runs[name] for name in peers.seeds_of(run, runs)] if answer == SEEDS else [runs[answer]]
        rule = self.rule

        def read() -> None:
            try:
                other = peers.of_seeds(wanted, rule) if answer == SEEDS else peers.of_run(wanted[0])
            except S3Error as error:
                self.post_message(self.NotLoaded(error))
            else:
                self.post_message(self.Loaded(other))

        self.s3.in_background(read)

    @on(Loaded)
    def _take_other(self, message: Loaded) -> None:
        self.other = message.other
        self.draw()

    @on(NotLoaded)
    def _show_error(self, message: NotLoaded) -> None:
        error = message.error
        self.notify(clean(f"{error.message}: {error.hint}"), severity="warning", markup=False)


def _row(c: Candidate, short: dict[str, str], here: dict[str, float], there: dict[str, float], where: str) -> Row:
    tone = PLACES[where][2] if where else ""
    cells = {
        "where": text(where, tone), "name": text(clean(short[c.name])), "parameters": text(count(c.parameters)),
        "p": _p(here.get(c.name)), "other": _p(there.get(c.name)),
    }  # fmt: skip
    return Row(c.name, cells)


def _p(value: float | None) -> Cell:
    return text("-", "muted") if value is None else text(f"{value:.4f}")
