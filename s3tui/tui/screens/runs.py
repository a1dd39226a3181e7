"""The main screen: all runs, the devices, and loss and log of the run under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer
from textual.widgets import Input

from s3tui.listing.columns import COLUMNS
from s3tui.listing.grouping import keys_of
from s3tui.runs.status import Quiet, Running
from s3tui.text.shorten import shortened
from s3tui.tui.charts import figures
from s3tui.tui.dialogs.question import Choose, ChooseSome
from s3tui.tui.screens.base import Live
from s3tui.tui.screens.run_actions import RunActions
from s3tui.tui.snapshot import RunDetail, Snapshot
from s3tui.tui.support.keys import RUNS, key
from s3tui.tui.support.memory import Shown
from s3tui.tui.support.palette import plain
from s3tui.tui.tables.arranged_runs import ArrangedRuns
from s3tui.tui.tables.exported_table import Table, of_lines
from s3tui.tui.tables.run_rows import TellingColumns, grid_columns, shown_columns
from s3tui.tui.tables.workspace_headline import headline
from s3tui.tui.widgets.devices import DeviceStrip
from s3tui.tui.widgets.foot import Foot
from s3tui.tui.widgets.glance import Glance
from s3tui.tui.widgets.grid import Grid
from s3tui.tui.widgets.logview import LogView
from s3tui.tui.widgets.plot import Plot
from s3tui.tui.widgets.text_line import TextLine

EMPTY = "No runs in this workspace yet.\n\nS  start a suite from its TOML file\n?  all keys"
NONE_MATCH = "No run passes the filter.\n\nescape  clears it"
LEAST_ROWS = 7  # that the table has room for, also if there are fewer runs
FRAME = 3  # lines of a table around its rows
TITLE_FRAME = 4  # cells of a frame beside its title
SETTLE_SECONDS = 0.15  # that the cursor must rest on a run before its details are loaded


class Runs(RunActions, Live):
    """The screen."""

    TITLE = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "open", "Open", "Open the run under the cursor; show or hide the runs of an array", footer=True),
        key("f", "filter", "Filter", "Filter as you type: status:running task:cb test>80 -tag:old", footer=True),
        key("o", "sort", "Sort", "Sort by a column; once more turns it round", footer=True),
        key("b", "group", "Group", "Group by task, method or a setting, with mean and spread", footer=True),
        key("A", "race", "Race", "Show the race of which the run is an arm (s3tui race show)"),
        key("space", "mark", "Mark", "Mark the run for actions on several, and to compare", footer=True, task=RUNS),
        key("v", "range", "Mark from here", "Mark from here to where the cursor goes; once more ends it", task=RUNS),
        key("a", "mark_all", "Mark all", "Mark all runs that are shown, or none", task=RUNS),
        key("C", "columns", "Columns", "Choose the columns"),
        key("R", "reset", "Reset", "Forget columns, order, filter, groups, sizes and theme"),
        key("plus,equals_sign", "grow(-1)", "Larger table", "Move the edge between the table and the charts down"),
        key("minus", "grow(1)", "Smaller table", "Move it up; the mouse drags it, too"),
        key("escape", "clear", "Clear", "Clear the range, the filter, then the marks"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._runs, self._telling = ArrangedRuns(), TellingColumns()
        self._snapshot = Snapshot()
        self._settling: Timer | None = None
        self._columns: tuple[str, ...] = ()  # columns
        self._remembered: Path | None = None  # the workspace whose way of showing runs is in use
        self._awaited = ""  # the run to which the cursor goes as soon as it is there

    def compose(self) -> ComposeResult:
        """Headline, filter, table, devices, and loss and log of one run."""
        yield TextLine(id="headline")
        yield Input(placeholder="status:running task:cb test>80 method:s3 -tag:old", id="filter")
        grid = Grid(shown_columns(), EMPTY, id="runs")
        grid.border_title = "runs"
        yield grid
        devices = DeviceStrip(id="devices")
        devices.border_title = "devices"
        yield devices
        with Glance(id="glance"):
            yield Plot(id="glance-loss", empty="no loss yet")
            yield LogView(id="glance-log", can_focus=False)
        yield Foot()

    def on_mount(self) -> None:
        """Focus the table."""
        self.query_one("#filter", Input).display = False
        self.grid.focus()

    @property
    def grid(self) -> Grid:
        """The table."""
        return self.query_one("#runs", Grid)

    @property
    def chosen_names(self) -> list[str]:
        """The runs to which an action applies: the marked ones, else that or the array under the cursor."""
        return self._runs.marked_names or self._runs.names_of(self.grid.cursor_key)

    def exported_as(self, part: str) -> str:
        """A name with that of the run, for its plot."""
        return part if part == "runs" else f"{self.grid.cursor_key} {part}"

    @property
    def plot_on_screen(self) -> Plot:
        """The loss of the run under the cursor."""
        return self.query_one("#glance-loss", Plot)

    @property
    def table_on_screen(self) -> Table:
        """The shown runs, in their order."""
        return of_lines("runs", self._runs.shown)

    # What is shown

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show the current state of the runs."""
        self._snapshot = snapshot
        if self._remembered != self.s3.workspace.path:
            self._show_as(self.s3.memory.of(self.s3.workspace.path))
        self._arrange()
        living = (run.status for run in snapshot.unfinished.values())
        ours = frozenset(s.process.worker.pid for s in living if isinstance(s, (Running, Quiet)) and s.process)
        self.query_one(DeviceStrip).show(snapshot.devices, ours)
        self.query_one("#headline", TextLine).show(headline(self.s3.workspace.path, snapshot))
        self._glance()

    def _arrange(self) -> None:
        """Filter, sort and group if anything has changed, and show the rows."""
        if not self._runs.arrange(self._snapshot):
            return
        self._keep()
        self._lay_out()
        line = self.query_one("#filter", Input)
        line.border_title = plain(self._runs.problem or "filter")
        line.set_class(bool(self._runs.problem), "-invalid")
        self.grid.empty = NONE_MATCH if self._snapshot.lines else EMPTY
        self.grid.sorted_by = self._runs.sort
        self.grid.show(self._runs.rows())
        self._go_to_awaited()
        self._fit()
        self.grid.border_subtitle = plain(self._runs.summary())

    def _lay_out(self) -> None:
        """Show the chosen columns, or without a choice those that tell runs apart."""
        columns = [column for column in grid_columns() if column.key in self._columns]
        columns = columns or self._telling.of(self._snapshot.lines)
        if tuple(columns) != self.grid.columns:
            self.grid.show_columns(columns, all_of_them=bool(self._columns))

    def _fit(self) -> None:
        """Leave no half of the screen blank under a short table."""
        glance = self.query_one(Glance)
        if glance.display:
            both = self.grid.outer_size.height + glance.outer_size.height
            glance.fit(both, max(LEAST_ROWS, len(self.grid.rows)) + FRAME)

    def on_resize(self) -> None:
        """Fit again, when the parts have their new sizes."""
        self.call_after_refresh(self._fit)

    @on(Glance.Resized)
    def _resized(self) -> None:
        self._keep()
        self._fit()

    def action_grow(self, by: int) -> None:
        """Move the edge between the table and the charts."""
        self.query_one(Glance).grow(by)

    def go_to(self, name: str) -> None:
        """Move the cursor to a run, as soon as it is there."""
        self._awaited = name
        self._go_to_awaited()

    def _go_to_awaited(self) -> None:
        if not self._awaited:
            return
        key = self._runs.row_of(self._awaited)
        if any(row.key == key for row in self.grid.rows):
            self.grid.move_to(key)
            self._awaited = ""

    # What is remembered

    def _show_as(self, shown: Shown) -> None:
        self._remembered = self.s3.workspace.path
        self._columns, self._runs.group_by = shown.columns, shown.group_by
        self.query_one(Glance).share = shown.glance
        self._runs.sort = shown.sort if shown.sort.lstrip("-") in COLUMNS else ""
        line = self.query_one("#filter", Input)
        self._runs.filter = line.value = shown.filter
        line.display = bool(shown.filter)
        self._lay_out()

    def _keep(self) -> None:
        runs, share = self._runs, self.query_one(Glance).share
        if self._remembered is not None:
            self.s3.memory.keep(self._remembered, Shown(self._columns, runs.sort, runs.filter, runs.group_by, share))

    def action_reset(self) -> None:
        """Show everything as at first."""
        self.s3.forget()
        self._show_as(Shown())
        self._arrange()
        self._fit()
        self.notify("everything is shown as at first", markup=False)

    def _glance(self) -> None:
        name = self.grid.cursor_key
        detail = self._snapshot.details.get(name or "", RunDetail())
        plot, log = self.query_one("#glance-loss", Plot), self.query_one("#glance-log", LogView)
        plot.draw(figures.losses(detail.history, figures.View()))
        log.show(detail.log)
        log.border_title = plain(_log_of(name, log.size.width) if name in self._snapshot.lines and name else "log")

    # Keys

    @on(Grid.Highlighted)
    def _ask_for_detail(self) -> None:
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLE_SECONDS, self._watch)
        self._stretch()
        self._glance()

    def _watch(self) -> None:
        # Another screen may have been opened meanwhile, and have loaded other details.
        # Textual's `is_current` holds for the screen right behind, too.
        if self.s3.looked_at is self:
            self.s3.watch_runs([name] if (name := self.grid.cursor_key) else [])

    def on_screen_resume(self) -> None:
        """Load the details of the run again: another screen may have loaded others."""
        if self.is_whole:
            self._watch()

    @on(Grid.Chosen)
    def action_open(self) -> None:
        """Open the run under the cursor; show or hide the runs of an array."""
        from s3tui.tui.screens.run import Run

        name = self.grid.cursor_key
        if self._runs.fold(name):
            self._arrange()
        elif name in self._snapshot.lines and name is not None:
            self.app.push_screen(Run(name, tuple(line.name for line in self._runs.shown)))

    def action_race(self) -> None:
        """Show the race of the run under the cursor."""
        from s3tui.tui.screens.race import Race

        name = (self.grid.cursor_key or "").rpartition("/")[0]
        if name in self._snapshot.races:
            self.app.push_screen(Race(name))
        else:
            self.notify("this run is in no race", severity="warning", markup=False)

    @on(Grid.HeaderClicked)
    def _sort_by_clicked(self, message: Grid.HeaderClicked) -> None:
        self._sort_by(message.column)

    def action_filter(self) -> None:
        """Open the filter line."""
        line = self.query_one("#filter", Input)
        line.display = True
        line.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._runs.filter = event.value
        self._arrange()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.query_one("#filter", Input).display = bool(self._runs.filter)
        self.grid.focus()

    def action_clear(self) -> None:
        """Clear the range, the filter, then the marks."""
        line = self.query_one("#filter", Input)
        if self._runs.range is not None:
            self._runs.end_range(keep=False)
        elif self._runs.filter or line.display:
            line.value, line.display = "", False
            self.grid.focus()
        else:
            self._runs.marked.clear()
        self._arrange()

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor, and move to the next one."""
        name = self.grid.cursor_key
        if name in self._snapshot.lines and name is not None:
            self._runs.marked ^= {name}
            self._arrange()
        self.grid.action_move(1)

    def action_range(self) -> None:
        """Begin to mark runs from the one under the cursor on, or end that."""
        if self._runs.range is None:
            self._runs.begin_range(self.grid.cursor_key)
        else:
            self._runs.end_range()
        self._stretch()
        self._arrange()

    def _stretch(self) -> None:
        if self._runs.range is not None:
            self._runs.stretch([row.key for row in self.grid.rows], self.grid.cursor_key)
            self._arrange()

    def action_mark_all(self) -> None:
        """Mark all shown runs, or if all are marked, unmark them."""
        self._runs.mark_all()
        self._arrange()

    def action_sort(self) -> None:
        """Choose a column to sort by."""
        answers = [("", "", "as they are: what runs first, then by name")]
        answers += [(column.key, "", column.title) for column in grid_columns() if COLUMNS[column.key].kind != "texts"]
        self.app.push_screen(Choose("Sort by", answers), self._sort_by)

    def _sort_by(self, key: str | None) -> None:
        if key is not None:
            self._runs.sort_by(key)
            self._arrange()

    def action_group(self) -> None:
        """Choose what to group by."""
        keys = keys_of(run.spec for run in self._snapshot.runs.values())
        answers = [("", "", "no groups"), *((key, "", key) for key in keys)]
        self.app.push_screen(Choose("Group by", answers), self._set_group)

    def _set_group(self, key: str | None) -> None:
        if key is not None:
            self._runs.group_by = key
            self._arrange()

    def action_columns(self) -> None:
        """Choose the columns."""
        shown = {column.key for column in self.grid.columns}
        answers = [(column.key, column.title, column.key in shown) for column in grid_columns()]
        self.app.push_screen(ChooseSome("Columns", answers), self._set_columns)

    def _set_columns(self, keys: Sequence[str] | None) -> None:
        if keys:
            is_default = set(keys) == {column.key for column in self._telling.of(self._snapshot.lines)}
            self._columns = () if is_default else tuple(keys)
            self._keep()
            self._lay_out()


def _log_of(name: str, width: int) -> str:
    """The title of the log, in a frame of this width; 0 before there is one."""
    what = "log of "
    return f"{what}{shortened(name, width - len(what) - TITLE_FRAME) if width else name}"
