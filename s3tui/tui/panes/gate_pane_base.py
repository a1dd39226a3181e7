"""Base class of the tabs about gates: the map of the space, the selection after each step, and switchable parts."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.message import Message
from textual.widget import Widget

from core.run.methods import method_of
from core.run.structure import Candidate
from s3tui.listing.run_row import Line
from s3tui.runs.history import Frame, HistoryView
from s3tui.runs.workspace import FoundRun
from s3tui.structures.grid_layout import NO_MAP, gate_map, short_deltas
from s3tui.structures.selection_history import Choice, Choices, Rule, rule_of
from s3tui.tui.charts.figures import Figure
from s3tui.tui.panes.base import Pane
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.widgets.grid import Grid
from s3tui.tui.widgets.plot import Plot

SLICE_SECONDS = 0.05  # for which the feed's thread computes choices before it reads the runs again


class GatedPane(Pane):
    """A tab about the candidates of a run, with several parts, of which a narrow screen shows one at a time."""

    PARTS: ClassVar[tuple[str, ...]] = ()  # the ids, the most important first

    class Chosen(Message):
        """More choices have been computed."""

        def __init__(self, chooser: Choices, choices: tuple[Choice, ...]) -> None:
            self.chooser, self.choices = chooser, choices
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self.run: FoundRun | None = None
        self.history = HistoryView()
        self.empty = ""
        self.map = NO_MAP
        self.names: tuple[str, ...] = ()  # of the candidates, short
        self.choices: tuple[Choice, ...] = ()
        self.rule = Rule()
        self._chooser = Choices((), self.rule)
        self._is_choosing = False
        self._front = 0

    # What is shown

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Take the new state, and draw it."""
        is_other = self.run is None or run.name != self.run.name
        if not is_other and detail.history is self.history:
            return
        self.run = run
        rule = rule_of(detail.history, run.spec)
        if is_other or detail.history.candidates != self.history.candidates or rule != self.rule:
            self._begin(detail.history, rule)
        self.history = detail.history
        if is_other:
            self.other_run()
        self.empty = _why_empty(line, detail)
        self._choose()
        self.draw()

    def _begin(self, history: HistoryView, rule: Rule) -> None:
        """Start again with other candidates or another rule."""
        candidates = history.candidates
        short = short_deltas(c.delta for c in candidates)
        self.map, self.names = gate_map(candidates), tuple(f"{c.label} {short[c.delta]}" for c in candidates)
        self.choices, self.rule, self._chooser = (), rule, Choices(candidates, rule)

    def other_run(self) -> None:
        """Called when another run is shown."""

    def draw(self) -> None:
        """Draw what has changed; show `empty` if there is nothing to draw."""
        raise NotImplementedError

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates of the run."""
        return self.history.candidates

    @property
    def latest(self) -> Frame | None:
        """The latest gates."""
        return self.history.frames[-1] if self.history.frames else None

    @property
    def selected(self) -> frozenset[int] | None:
        """The chosen structure, or before that the one that would be selected now; None before either is known."""
        if self.history.selected is not None:
            return frozenset(self.history.selected)
        return self.choices[-1].selected if self.choices else None

    # Choices are computed in the feed's thread, in short slices

    def _choose(self) -> None:
        frames, known = self.rule.decided(self.history.frames), self.choices
        is_known = len(known) == len(frames) and (not frames or known[-1].frame is frames[-1])
        if self._is_choosing or is_known:
            return
        self._is_choosing, chooser = True, self._chooser

        def work() -> None:
            self.post_message(self.Chosen(chooser, chooser.advance(frames, SLICE_SECONDS)))

        self.s3.in_background(work)

    @on(Chosen)
    def _take_choices(self, message: Chosen) -> None:
        self._is_choosing = False
        if message.chooser is self._chooser:
            self.choices = message.choices
            self.draw()
        self._choose()

    # Parts

    def on_mount(self) -> None:
        """Show the first part."""
        self._bring(0)

    def take_focus(self) -> None:
        """Focus the part in front if it can take the focus."""
        self.front.focus()

    @property
    def front(self) -> Widget:
        """The part in front."""
        return self.query_one(f"#{self.PARTS[self._front]}")

    def _bring(self, place: int) -> None:
        self.front.remove_class("-front")
        self._front = place
        self.front.add_class("-front")

    def action_part(self) -> None:
        """Go to the next part."""
        self._bring((self._front + 1) % len(self.PARTS))
        self.take_focus()

    @property
    def figure_on_screen(self) -> Figure | None:
        """The plot in front."""
        front = self.front
        return front.figure if isinstance(front, Plot) else None

    @property
    def grid_on_screen(self) -> Grid | None:
        """The table in front, or if no plot is in front, the first table."""
        front = self.front
        if isinstance(front, Grid):
            return front
        return None if isinstance(front, Plot) else self.query(Grid).first()


def _why_empty(line: Line, detail: RunDetail) -> str:
    """Why there are no gates to show, and what to do."""
    if not detail.loaded:
        return "reading the events of this run"
    method = method_of(line.method)
    if not method.gates:
        does = "has no gates" if method.searches else "searches nothing, so it has no gates"
        return f"method {line.method!r} {does}\n\nthe tab Structure shows what it trains"
    if line.status in ("queued", "running", "quiet"):
        return "no gates yet: they show once the search begins"
    return (
        "this run ended before it logged any gates\n\nr  puts it back into the queue;  the tab Log shows what happened"
    )
