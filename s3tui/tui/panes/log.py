"""The Log tab: the last lines of a run's log."""

from __future__ import annotations

from textual.app import ComposeResult

from s3tui.listing.run_row import Line
from s3tui.runs.workspace import FoundRun
from s3tui.tui.feed import LOG_LINES
from s3tui.tui.panes.base import Pane
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.widgets.logview import LogView


class LogPane(Pane):
    """The tab, with follow, wrap and search."""

    def compose(self) -> ComposeResult:
        """The log."""
        log = LogView(id="log", empty="this run has printed nothing yet")
        log.border_title = f"log, the last {LOG_LINES:,} lines"
        yield log

    def take_focus(self) -> None:
        """Focus the log."""
        self.query_one(LogView).focus()

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Show new lines."""
        self.query_one(LogView).show(detail.log)
