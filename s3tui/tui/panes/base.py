"""Base of the tabs that show one side of a run."""

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
    """Shows one side of a run. Only the tab that is looked at is shown anything."""

    BINDINGS: ClassVar[list[BindingType]] = []
    can_focus = False

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Show the run as it is now; called at most ten times a second, also where nothing has changed."""
        raise NotImplementedError

    def take_focus(self) -> None:
        """Give the keys to the part of the tab that a person wants to use."""

    @property
    def figure_on_screen(self) -> Figure | None:
        """The plot that `export` writes; None where the tab has none."""
        return None

    @property
    def plot_on_screen(self) -> Plot | None:
        """The plot that draws it, as somebody looks at it."""
        figure = self.figure_on_screen
        return next((plot for plot in self.query(Plot) if figure is not None and plot.figure is figure), None)

    @property
    def grid_on_screen(self) -> Grid | None:
        """The table that `export` writes; None where the tab has none."""
        return None

    @property
    def table_on_screen(self) -> Table | None:
        """What is exported of that table; a tab whose numbers are rounded for the screen gives them unrounded here."""
        grid = self.grid_on_screen
        return None if grid is None else of_grid(grid.id or "table", grid)


class GridPane(Pane):
    """A tab that is one table."""

    def take_focus(self) -> None:
        """The table has the keys."""
        self.query_one(Grid).focus()

    @property
    def grid_on_screen(self) -> Grid:
        """The table."""
        return self.query_one(Grid)
