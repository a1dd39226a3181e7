"""The screen that compares several runs, with tabs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os.path import commonpath
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from core.run.errors import S3Error
from core.run.rundir import RunDir
from core.run.structure import Structure, read_structure
from s3tui.text.sanitize import clean
from s3tui.text.shorten import shortened
from s3tui.tui.panes.compare_panes import ChosenPane, Compared, ComparePane, CurvesPane, PointsPane, ResultsPane
from s3tui.tui.screens.run import Run
from s3tui.tui.screens.tabbed import Tabbed, tab_keys
from s3tui.tui.snapshot import RunDetail, Snapshot
from s3tui.tui.support.background import handed_over
from s3tui.tui.support.palette import Cell, content, line_colours, text
from s3tui.tui.widgets.grid import Grid

OVERLAID = 8  # most runs whose curves are drawn: more are hard to distinguish, and each has to be read completely
LEGEND_LINES = 3
PANES: dict[str, type[ComparePane]] = {
    "Curves": CurvesPane, "Results": ResultsPane, "Parameters": PointsPane, "Candidates": ChosenPane,
}  # fmt: skip


class Compare(Tabbed):
    """The screen."""

    TITLE = "compare"
    PANES = PANES
    BINDINGS: ClassVar[list[BindingType]] = [*tab_keys(PANES)]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = tuple(names)
        self._structures: dict[str, Structure] = {}
        self._asked: set[str] = set()  # the runs whose structures have been read, or are being read
        self._legend: tuple[object, ...] = ()

    @property
    def chosen_names(self) -> list[str]:
        """The run under the cursor, if the tab has a table of runs."""
        grid = self.pane.grid_on_screen
        return [name for name in self._names if grid is not None and name == grid.cursor_key]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the action that compares runs."""
        return action != "compare"

    def compose(self) -> ComposeResult:
        """A headline with the legend, and the tabs."""
        yield Static(id="headline", markup=False)
        yield Static(id="legend", markup=False)
        yield from self.compose_tabs()

    def on_screen_resume(self) -> None:
        """Load the details of these runs again: another screen may have loaded others."""
        self.s3.watch_runs(self._names[:OVERLAID])

    def exported_as(self, part: str) -> str:
        """A name without those of all runs."""
        return f"compared {part}"

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show the current state of the runs, without deleted ones."""
        there = [name for name in self._names if name in snapshot.lines and name in snapshot.runs]
        self._read_structures(snapshot, there)
        short = short_names(there)
        overlaid = {short[name]: snapshot.details.get(name, RunDetail()).history for name in there[:OVERLAID]}
        lines = tuple(snapshot.lines[name] for name in there)
        runs = {name: snapshot.runs[name] for name in there}
        self._draw_head(there, list(overlaid), snapshot)
        pane = self.pane
        assert isinstance(pane, ComparePane)
        pane.compare(Compared(lines, runs, short, overlaid, dict(self._structures)))

    def _draw_head(self, there: Sequence[str], overlaid: Sequence[str], snapshot: Snapshot) -> None:
        reading = [n for n in there[:OVERLAID] if not snapshot.details.get(n, RunDetail()).loaded]
        shown = (tuple(there), tuple(overlaid), bool(reading), self.app.current_theme.dark, self.size.width)
        if shown == self._legend:
            return
        self._legend = shown
        cells: list[Cell] = [text("s3tui ", "strong"), text(f"{len(there)} runs compared")]
        if len(there) > len(overlaid):
            cells.append(text(f"  curves of the first {len(overlaid)}, tables of all", "warn"))
        if reading:
            cells.append(text("  reading", "muted"))
        self.query_one("#headline", Static).update(content(*cells))
        colours = line_colours(self.app)
        legend = _legend(list(overlaid), colours, self.size.width - 2)
        self.query_one("#legend", Static).update(Content("\n").join(legend))

    def _read_structures(self, snapshot: Snapshot, names: Iterable[str]) -> None:
        """Read newly chosen structures, in the feed's thread."""
        lines = snapshot.lines
        chosen = {n for n in names if lines[n].status == "finished" or lines[n].phase in ("retrain", "test")}
        wanted = {name: snapshot.runs[name].directory for name in chosen - self._asked}
        if wanted:
            self._asked |= wanted.keys()
            have = handed_over(self, self._have_structures)
            self.s3.in_background(lambda: have(_structures(wanted)))

    def _have_structures(self, found: dict[str, Structure]) -> None:
        self._structures |= found
        self.show_latest()

    @on(Grid.Chosen)
    def _open(self, message: Grid.Chosen) -> None:
        if message.key in self._names:
            self.app.push_screen(Run(message.key, self._names))


def _structures(directories: dict[str, RunDir]) -> dict[str, Structure]:
    """The structures that can be read; damaged ones are left out."""
    found = {}
    for name, directory in directories.items():
        try:
            found[name] = read_structure(directory.structure)
        except S3Error:
            continue
    return found


def _legend(names: Sequence[str], colours: Sequence[tuple[int, int, int]], width: int) -> list[Content]:
    """The lines of the legend; names are shortened in the middle where they need more than LEGEND_LINES."""

    def lines(names: Sequence[str]) -> list[Content]:
        return _wrapped([_legend_part(colours[i % len(colours)], name) for i, name in enumerate(names)], width)

    names = [shortened(clean(name), width - 2) for name in names]
    whole = lines(names)
    if len(whole) <= LEGEND_LINES:
        return whole
    a_line = -(-len(names) // LEGEND_LINES)
    return lines([shortened(name, width // a_line - 4) for name in names])


def _wrapped(parts: Sequence[Content], width: int) -> list[Content]:
    """Wrap parts into lines without breaking between a colour and its name."""
    lines: list[Content] = []
    for part in parts:
        joined = Content.assemble(lines[-1], "  ", part) if lines else part
        if lines and joined.cell_length <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def _legend_part(colour: tuple[int, int, int], name: str) -> Content:
    red, green, blue = colour
    return Content.assemble(("━ ", f"rgb({red},{green},{blue})"), clean(name))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names without their common folders."""
    shared = commonpath([name.rpartition("/")[0] for name in names]) if names else ""
    start = len(shared) + 1 if shared else 0
    return {name: name[start:] for name in names}
