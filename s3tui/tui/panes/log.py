"""The Log tab: the last lines of a run's log."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from s3tui.listing.run_row import Line
from s3tui.runs.workspace import FoundRun
from s3tui.tui.feed import LOG_LINES
from s3tui.tui.panes.base import Pane
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.support.keys import key
from s3tui.tui.widgets.logview import LogView


class LogPane(Pane):
    """The tab, with follow, wrap and search."""

    BINDINGS: ClassVar[list[BindingType]] = [key("slash", "search", "Search", "Search in the log", footer=True)]

    def compose(self) -> ComposeResult:
        """The log, with a search line above."""
        yield Input(placeholder="search", id="log-search", classes="framed")
        log = LogView(id="log", empty="this run has printed nothing yet")
        log.border_title = f"log, the last {LOG_LINES:,} lines"
        yield log

    def on_mount(self) -> None:
        """Hide the search line."""
        self.query_one(Input).display = False

    def take_focus(self) -> None:
        """Focus the log."""
        self.query_one(LogView).focus()

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Show new lines."""
        self.query_one(LogView).show(detail.log)

    def action_search(self) -> None:
        """Open the search line."""
        line = self.query_one(Input)
        line.display = True
        line.focus()

    @on(Input.Submitted)
    def _search(self, event: Input.Submitted) -> None:
        self.query_one(Input).display = bool(event.value)
        self.query_one(LogView).seek(event.value)
        self.take_focus()
