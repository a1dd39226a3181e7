"""The start: all runs, the devices, and of the run under the cursor its loss and the end of its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widgets import Footer, Input

from core.run.errors import SpecError
from s3tui.listing.columns import COLUMNS
from s3tui.listing.filters import parse_filter
from s3tui.listing.grouping import grouped, keys_of
from s3tui.listing.run_row import Line
from s3tui.listing.sorted_rows import Ordering
from s3tui.runs.status import STATES, Quiet, Running
from s3tui.text.sanitize import clean
from s3tui.tui.charts import figures
from s3tui.tui.dialogs.question import Choose, ChooseSome
from s3tui.tui.screens.base import Live
from s3tui.tui.screens.run_actions import RunActions
from s3tui.tui.snapshot import Snapshot, Story
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import Cell, plain, state, text
from s3tui.tui.tables.exported_table import Table, of_lines
from s3tui.tui.tables.run_rows import Rows, grid_columns, shown_columns
from s3tui.tui.widgets.devices import DeviceStrip
from s3tui.tui.widgets.grid import Grid, Row
from s3tui.tui.widgets.logview import LogView
from s3tui.tui.widgets.plot import Plot
from s3tui.tui.widgets.text_line import TextLine

EMPTY = "No runs in this workspace yet.\n\nn  start a suite from its TOML file\n?  all keys"
NONE_MATCH = "No run passes the filter.\n\nescape  clears it"
SETTLE_SECONDS = 0.15  # for which the cursor rests on a run before its story is asked for


class Runs(RunActions, Live):
    """The table of all runs."""

    TITLE = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "open", "Open", "Open the run under the cursor", footer=True),
        key("slash", "filter", "Filter", "Filter as you type: status:running task:cb score>0.8 -tag:old", footer=True),
        key("o", "sort", "Sort", "Sort by a column; once more turns it round", footer=True),
        key("g", "group", "Group", "Group by task, method or a setting, with mean and spread", footer=True),
        key("space", "mark", "Mark", "Mark the run for actions on several, and to compare", footer=True),
        key("a", "mark_all", "Mark all", "Mark all runs that are shown, or none"),
        key("v", "columns", "Columns", "Choose the columns"),
        key("escape", "clear", "Clear", "Clear the filter, then the marks"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.marked: set[str] = set()
        self._rows = Rows()
        self._snapshot = Snapshot()
        self._sort, self._group_by, self._filter = "", "", ""
        self._asked: tuple[str, str] | None = None
        self._ordering = Ordering(parse_filter([]))
        self._shown: list[Line] = []
        self._arranged: tuple[object, ...] = ()
        self._settling: Timer | None = None

    def compose(self) -> ComposeResult:
        """Headline, table, devices, and what there is of one run."""
        yield TextLine(id="headline")
        yield Input(placeholder="status:running task:cb score>0.8 method:s3 -tag:old", id="filter")
        grid = Grid(shown_columns(), EMPTY, id="runs")
        grid.border_title = "runs"
        yield grid
        devices = DeviceStrip(id="devices")
        devices.border_title = "devices"
        yield devices
        with Horizontal(id="glance"):
            yield Plot(id="glance-loss", empty="no loss yet")
            yield LogView(id="glance-log", can_focus=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """The table has the keys."""
        self.query_one("#filter", Input).display = False
        self.grid.focus()

    @property
    def grid(self) -> Grid:
        """The table."""
        return self.query_one("#runs", Grid)

    @property
    def chosen_names(self) -> list[str]:
        """The runs that an action is about: those that are marked, else the one under the cursor."""
        marked = [line.name for line in self._shown if line.name in self.marked]
        key = self.grid.cursor_key
        return marked or ([key] if key in self._snapshot.lines and key is not None else [])

    def exported_as(self, part: str) -> str:
        """The plot by the run whose it is."""
        return part if part == "runs" else f"{self.grid.cursor_key} {part}"

    @property
    def plot_on_screen(self) -> Plot:
        """The loss of the run under the cursor."""
        return self.query_one("#glance-loss", Plot)

    @property
    def table_on_screen(self) -> Table:
        """The runs that are shown, in their order."""
        return of_lines("runs", self._shown)

    # What is shown

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show the runs as they are now."""
        self._snapshot = snapshot
        self._arrange()
        living = (run.status for run in snapshot.runs.values())
        ours = frozenset(s.process.worker.pid for s in living if isinstance(s, (Running, Quiet)) and s.process)
        self.query_one(DeviceStrip).show(snapshot.devices, ours)
        self.query_one("#headline", TextLine).show(_headline(_short(self.s3.workspace.path), snapshot))
        self._glance()

    def _arrange(self) -> None:
        """Filter, sort and group, where anything has changed, and show the rows."""
        snapshot = self._snapshot
        asked = (tuple(snapshot.lines.values()), self._filter, self._sort, self._group_by, frozenset(self.marked))
        if asked == self._arranged:
            return
        self._arranged = asked
        if self._asked != (self._filter, self._sort):
            self._asked = (self._filter, self._sort)
            self._ordering = Ordering(self._keep(), self._sort)
        self._shown = self._ordering.of(snapshot.lines)
        suites = {line.suite for line in snapshot.lines.values()}
        self._rows.leave_out(f"{suites.pop()}/" if len(suites) == 1 else "")
        self.grid.empty = NONE_MATCH if snapshot.lines else EMPTY
        self.grid.sorted_by = self._sort
        self.grid.show(self._of_rows())
        self._tell_counts()

    def _keep(self) -> Callable[[Line], bool]:
        """The filter; one that cannot be read lets everything through, and says why."""
        problem = ""
        try:
            keep = parse_filter([self._filter])
        except (SpecError, ValueError) as error:
            keep, problem = parse_filter([]), str(error)
        line = self.query_one("#filter", Input)
        line.border_title = plain(problem or "filter")
        line.set_class(bool(problem), "-invalid")
        return keep

    def _of_rows(self) -> list[Row]:
        if not self._group_by:
            return self._rows.of(self._shown, self.marked)
        specs = {name: run.spec for name, run in self._snapshot.runs.items()}
        return self._rows.of_groups(grouped(self._shown, self._group_by, specs), self.marked)

    def _tell_counts(self) -> None:
        told = [f"{len(self._shown)} of {len(self._snapshot.lines)}"] if self._filter else []
        told += [f"grouped by {self._group_by}"] if self._group_by else []
        told += [f"{len(self.marked)} marked"] if self.marked else []
        self.grid.border_subtitle = plain(", ".join(told))

    def _glance(self) -> None:
        name = self.grid.cursor_key
        story = self._snapshot.stories.get(name or "", Story())
        plot, log = self.query_one("#glance-loss", Plot), self.query_one("#glance-log", LogView)
        plot.draw(figures.losses(story.history, figures.View()))
        log.show(story.log)
        log.border_title = plain(f"log of {name}" if name in self._snapshot.lines else "log")

    # Keys

    @on(Grid.Highlighted)
    def _ask_for_story(self) -> None:
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLE_SECONDS, self._watch)
        self._glance()

    def _watch(self) -> None:
        # Another screen may have been opened while the cursor came to rest, and asked for stories of its own. Textual's
        # `is_current` holds for the screen right behind, too.
        if self.s3.looked_at is self:
            self.s3.watch_runs([name] if (name := self.grid.cursor_key) else [])

    def on_screen_resume(self) -> None:
        """Another screen may have asked for other stories."""
        if self.is_whole:
            self._watch()

    @on(Grid.Chosen)
    def action_open(self) -> None:
        """Open the run under the cursor."""
        from s3tui.tui.screens.run import Run

        name = self.grid.cursor_key
        if name in self._snapshot.lines and name is not None:
            self.app.push_screen(Run(name, tuple(line.name for line in self._shown)))

    @on(Grid.HeaderClicked)
    def _sort_by_clicked(self, message: Grid.HeaderClicked) -> None:
        self._sort_by(message.column)

    def action_filter(self) -> None:
        """Write a filter."""
        line = self.query_one("#filter", Input)
        line.display = True
        line.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._filter = event.value
        self._arrange()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.query_one("#filter", Input).display = bool(self._filter)
        self.grid.focus()

    def action_clear(self) -> None:
        """Clear the filter, then the marks."""
        line = self.query_one("#filter", Input)
        if self._filter or line.display:
            line.value, line.display = "", False
            self.grid.focus()
        else:
            self.marked.clear()
        self._arrange()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away, and go on to the next."""
        name = self.grid.cursor_key
        if name in self._snapshot.lines and name is not None:
            self.marked ^= {name}
            self._arrange()
        self.grid.action_move(1)

    def action_mark_all(self) -> None:
        """Mark all that is shown, or where all is marked, none."""
        names = {line.name for line in self._shown}
        self.marked = set() if names <= self.marked else self.marked | names
        self._arrange()

    def action_sort(self) -> None:
        """Choose a column to sort by."""
        answers = [("", "", "as they are: what runs first, then by name")]
        answers += [(column.key, "", column.title) for column in grid_columns() if COLUMNS[column.key].kind != "texts"]
        self.app.push_screen(Choose("Sort by", answers), self._sort_by)

    def _sort_by(self, key: str | None) -> None:
        if key is None:
            return
        self._sort = f"-{key}" if key and key == self._sort else key
        self._arrange()

    def action_group(self) -> None:
        """Choose what to group by."""
        keys = keys_of(run.spec for run in self._snapshot.runs.values())
        answers = [("", "", "no groups"), *((key, "", key) for key in keys)]
        self.app.push_screen(Choose("Group by", answers), self._set_group)

    def _set_group(self, key: str | None) -> None:
        if key is not None:
            self._group_by = key
            self._arrange()

    def action_columns(self) -> None:
        """Choose the columns."""
        shown = {column.key for column in self.grid.columns}
        answers = [(column.key, column.title, column.key in shown) for column in grid_columns()]
        self.app.push_screen(ChooseSome("Columns", answers), self._set_columns)

    def _set_columns(self, keys: Sequence[str] | None) -> None:
        if keys:
            columns = [column for column in grid_columns() if column.key in keys]
            self.grid.show_columns(columns, all_of_them=set(keys) != {column.key for column in shown_columns()})


def _short(path: Path) -> str:
    """A path as a person would write it here: from this folder, or from home."""
    for start, written in ((Path.cwd(), ""), (Path.home(), "~/")):
        if start in path.parents:
            return f"{written}{path.relative_to(start)}"
    return str(path)


def _headline(path: str, snapshot: Snapshot) -> list[Cell]:
    """The workspace, how many runs are where, and who dispatches."""
    counts = Counter(line.status for line in snapshot.lines.values())
    cells: list[Cell] = [text("s3tui", "strong")]
    for name in STATES:
        if counts[name]:
            cells += [text("  "), (state(name)[0], (f"{counts[name]} {name}", ""))]
    if not snapshot.loaded:
        cells.append(text("  reading", "muted"))
    if snapshot.paused:
        cells.append(text("  the queue is paused", "warn"))
    if snapshot.read_only:
        cells.append(text(f"  read-only: {snapshot.read_only}", "warn"))
    elif snapshot.dispatcher and snapshot.dispatcher != "nobody":
        cells.append(text(f"  dispatched by {snapshot.dispatcher}", "muted"))
    if snapshot.trouble:
        cells.append(text(f"  {clean(snapshot.trouble)}; trying again", "bad"))
    cells.append(text(f"  {clean(path)}", "muted"))
    return cells
