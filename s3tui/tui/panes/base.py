"""Base classes of the tabs."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container

from s3tui.listing.run_row import Line
from s3tui.runs.workspace import FoundRun
from s3tui.tui.charts.figures import Figure
from s3tui.tui.host import Hosted
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.tables.exported_table import Table, of_grid
from s3tui.tui.widgets.grid import Grid
from s3tui.tui.widgets.plot import Plot


class Pane(Hosted, Container):
    """A tab about a run. Only the active tab is updated."""

    BINDINGS: ClassVar[list[BindingType]] = []
    can_focus = False

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Show the current state of the run; called at most ten times a second, also if nothing has changed."""
        raise NotImplementedError

    def take_focus(self) -> None:
        """Focus the main part of the tab."""

    @property
    def figure_on_screen(self) -> Figure | None:
        """The plot that `export` writes; None if the tab has none."""
        return None

    @property
    def plot_on_screen(self) -> Plot | None:
        """The widget that draws that plot."""
        figure = self.figure_on_screen
        return next((plot for plot in self.query(Plot) if figure is not None and plot.figure is figure), None)

    @property
    def grid_on_screen(self) -> Grid | None:
        """The table that `export` writes; None if the tab has none."""
        return None

    @property
    def table_on_screen(self) -> Table | None:
        """The exported content of that table; tabs that round numbers on the screen override it with exact ones."""
        grid = self.grid_on_screen
        return None if grid is None else of_grid(grid.id or "table", grid)


class GridPane(Pane):
    """A tab with a single table."""

    def take_focus(self) -> None:
        """Focus the table."""
        self.query_one(Grid).focus()

    @property
    def grid_on_screen(self) -> Grid:
        """The table."""
        return self.query_one(Grid)
