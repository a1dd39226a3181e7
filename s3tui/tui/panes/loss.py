"""The Loss tab: charts over the steps, one large, and small ones if there is room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from core.run.events import STEPPED
from s3tui.listing.run_row import Line
from s3tui.runs.history import HistoryView
from s3tui.runs.workspace import FoundRun
from s3tui.tui.charts import figures
from s3tui.tui.charts.figures import Figure, View
from s3tui.tui.dialogs.question import ChooseSome
from s3tui.tui.panes.base import Pane
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.support.keys import key
from s3tui.tui.widgets.plot import Plot

Charts = Mapping[str, Callable[[Any, View], Figure]]  # by their names; each draws what the tab shows
SMALL = 3  # charts beside the large one
UNSCALED = "score"  # the chart that is never logarithmic while it is small
PAN = 0.25  # of the visible range


class MainPlot(Plot, can_focus=True):
    """The large chart, which the keys control."""


class LossPane(Pane):
    """The tab."""

    CHARTS: ClassVar[Charts] = {
        "loss": figures.losses, "score": figures.scores, "gradient norm of weights": figures.gradients,
        "gradient norm of gates": figures.gate_gradients, "learning rate of weights": figures.rates,
        "learning rate of gates": figures.gate_rates,
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        key("v", "next_chart", "Chart", "Another chart in the large place", footer=True),
        key("o", "choose_charts", "Charts", "Choose which charts are drawn"),
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
        self._chosen = list(self.CHARTS)
        self._large = self._chosen[0]
        self._shown: Any = HistoryView()  # what the charts draw

    def compose(self) -> ComposeResult:
        """One large chart and some small ones."""
        with Horizontal():
            yield MainPlot(id="large")
            with Vertical(id="small"):
                yield from (Plot(id=f"small-{place}") for place in range(SMALL))

    def take_focus(self) -> None:
        """Focus the large chart."""
        self.query_one("#large", Plot).focus()

    @property
    def figure_on_screen(self) -> Figure | None:
        """The large chart."""
        return self.query_one("#large", Plot).figure

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Draw what has changed."""
        if detail.history is not self._shown:
            self._shown = detail.history
            self._draw()

    def _drawable(self) -> list[str]:
        """The chosen charts from the large one on, without those of which this run has nothing."""
        at = self._chosen.index(self._large)
        ordered = [*self._chosen[at:], *self._chosen[:at]]
        full = [name for name in ordered if not self.CHARTS[name](self._shown, View()).is_empty]
        return full or ordered[:1]

    def _draw(self) -> None:
        large, *small = self._drawable()
        plot = self.query_one("#large", Plot)
        plot.draw(self.CHARTS[large](self._shown, self._view), self._view)
        plot.border_subtitle = str(self._view)
        for place, name in enumerate([*small[:SMALL], *[""] * (SMALL - len(small))]):
            self._draw_small(self.query_one(f"#small-{place}", Plot), name)

    def _draw_small(self, plot: Plot, name: str) -> None:
        plot.display = bool(name)
        if name:
            view = replace(self._view, log=self._view.log and not name.startswith(UNSCALED))
            plot.draw(self.CHARTS[name](self._shown, view), view)

    def _look(self, view: View) -> None:
        self._view = view
        self._draw()

    def action_next_chart(self) -> None:
        """Make another chart the large one."""
        drawable = self._drawable()
        self._large = drawable[1 % len(drawable)]
        self._draw()

    def action_choose_charts(self) -> None:
        """Choose which charts are drawn."""
        answers = [(name, name, name in self._chosen) for name in self.CHARTS]
        self.app.push_screen(ChooseSome("Charts", answers), self._choose)

    def _choose(self, names: Sequence[str] | None) -> None:
        if names:
            self._chosen = list(names)
            self._large = self._large if self._large in names else self._chosen[0]
            self._draw()

    def action_log(self) -> None:
        """Change the scale."""
        self._look(replace(self._view, log=not self._view.log))

    def action_smooth(self) -> None:
        """Smooth more, then not at all."""
        self._look(self._view.smoother())

    def action_phase(self) -> None:
        """Show one phase or both."""
        self._look(self._view.next_phase([phase for phase in STEPPED if phase in self._phases()]))

    def _phases(self) -> Sequence[str]:
        phases: Sequence[str] = self._shown.phases
        return phases

    def action_zoom(self, factor: float) -> None:
        """Show less or more of x."""
        self._look(self._view.zoomed(factor))

    def action_pan(self, by: int) -> None:
        """Move along x."""
        self._look(self._view.panned(by * PAN))

    def action_all(self) -> None:
        """Show all of x."""
        self._look(replace(self._view, low=0.0, high=1.0))
