"""The Loss tab: losses, score, gradient norms and learning rates; one large chart, and small ones if there is room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from core.run.events import STEPPED
from s3tui.listing.run_row import Line
from s3tui.runs.history import HistoryView
from s3tui.runs.workspace import FoundRun
from s3tui.tui.charts import figures
from s3tui.tui.charts.figures import Figure, View
from s3tui.tui.panes.base import Pane
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.support.keys import key
from s3tui.tui.widgets.plot import Plot

CHARTS: tuple[Callable[[HistoryView, View], Figure], ...] = (
    figures.losses, figures.scores, figures.gradients, figures.rates,
)  # fmt: skip
PAN = 0.25  # of the visible range


class MainPlot(Plot, can_focus=True):
    """The large chart, which the keys control."""


class LossPane(Pane):
    """The tab."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("v", "next_chart", "Chart", "Another chart: loss, score, gradient norms, learning rates", footer=True),
        key("l", "log", "Log scale", "Logarithmic or linear scale", footer=True),
        key("m", "smooth", "Smooth", "Smooth more, then not at all", footer=True),
        key("f", "phase", "Phase", "Search, retraining, or both", footer=True),
        key("plus,equals_sign", "zoom(0.5)", "Zoom in", "Show less of x; the right end stays"),
        key("minus", "zoom(2)", "Zoom out", "Show more of x"),
        key("left", "pan(-1)", "Earlier", "Move to earlier steps"),
        key("right", "pan(1)", "Later", "Move to later steps"),
        key("0", "all", "All", "Show all of x"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._view = View()
        self._large = 0
        self._history = HistoryView()

    def compose(self) -> ComposeResult:
        """One large chart and three small ones."""
        with Horizontal():
            yield MainPlot(id="large")
            with Vertical(id="small"):
                yield from (Plot(id=f"small-{place}") for place in range(len(CHARTS) - 1))

    def take_focus(self) -> None:
        """Focus the large chart."""
        self.query_one("#large", Plot).focus()

    @property
    def figure_on_screen(self) -> Figure | None:
        """The large chart."""
        return self.query_one("#large", Plot).figure

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Draw what has changed."""
        if detail.history is not self._history:
            self._history = detail.history
            self._draw()

    def _draw(self) -> None:
        large, *small = (CHARTS[(self._large + place) % len(CHARTS)] for place in range(len(CHARTS)))
        plot = self.query_one("#large", Plot)
        plot.draw(large(self._history, self._view), self._view)
        plot.border_subtitle = str(self._view)
        for place, chart in enumerate(small):
            view = replace(self._view, log=False) if chart is figures.scores else self._view
            self.query_one(f"#small-{place}", Plot).draw(chart(self._history, view), view)

    def _look(self, view: View) -> None:
        self._view = view
        self._draw()

    def action_next_chart(self) -> None:
        """Make another chart the large one."""
        self._large = (self._large + 1) % len(CHARTS)
        self._draw()

    def action_log(self) -> None:
        """Change the scale."""
        self._look(replace(self._view, log=not self._view.log))

    def action_smooth(self) -> None:
        """Smooth more, then not at all."""
        self._look(self._view.smoother())

    def action_phase(self) -> None:
        """Show one phase or both."""
        self._look(self._view.next_phase([phase for phase in STEPPED if phase in self._history.phases]))

    def action_zoom(self, factor: float) -> None:
        """Show less or more of x."""
        self._look(self._view.zoomed(factor))

    def action_pan(self, by: int) -> None:
        """Move along x."""
        self._look(self._view.panned(by * PAN))

    def action_all(self) -> None:
        """Show all of x."""
        self._look(replace(self._view, low=0.0, high=1.0))
