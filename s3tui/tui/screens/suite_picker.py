"""The screen for choosing the TOML file of a suite to start."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from s3tui.suite.discover import SuiteFile, look_at, suite_files
from s3tui.text.sanitize import clean
from s3tui.text.units import duration
from s3tui.tui.host import Hosted
from s3tui.tui.screens.suite_preview import PreviewSuite
from s3tui.tui.support.background import in_thread
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import content, text
from s3tui.tui.widgets.foot import Foot
from s3tui.tui.widgets.grid import Column, Grid, Row

COLUMNS = (
    Column("file", "file", 0, rank=0, name=True), Column("suite", "suite", 20, rank=2),
    Column("experiments", "experiments", 11, right=True, rank=3), Column("age", "changed", 12, right=True, rank=4),
    Column("about", "", 40, rank=5),
)  # fmt: skip
LOOKING = "looking for TOML files"
NONE = "No TOML file here.\n\n/  type the path of one\n\ns3tui init writes a commented example suite"


class PickSuite(Hosted, Screen[None]):
    """The TOML files near the workspace and under the current folder."""

    TITLE = "start a suite"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "back", "Back", "Back to the runs", footer=True),
        key("t", "type", "Path", "Type the path of a file", footer=True),
        key("ctrl+r", "look", "Look again", "Look for files again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, SuiteFile] = {}

    @property
    def grid(self) -> Grid:
        """The files."""
        return self.query_one(Grid)

    def compose(self) -> ComposeResult:
        """An input line for a path, above the list of files."""
        yield Static(
            content(text("s3tui ", "strong"), text("start a suite from its TOML file", "muted")), id="headline"
        )
        line = Input(placeholder="the path of a TOML file", id="path")
        line.border_title = "file"
        yield line
        grid = Grid(COLUMNS, LOOKING, id="suites")
        grid.border_title = "suites"
        grid.border_subtitle = "enter shows what it would start"
        yield grid
        yield Foot()

    def on_mount(self) -> None:
        """Search for files, and focus the table."""
        self.grid.focus()
        self.action_look()

    def action_look(self) -> None:
        """Search for files in a thread, as disks may be slow and folders large."""
        folders = (Path.cwd(), self.s3.workspace.path.parent)
        in_thread(self, lambda: suite_files(folders), self._show)

    def _show(self, files: list[SuiteFile]) -> None:
        self._files = {str(file.path): file for file in files}
        self.grid.empty = NONE
        self.grid.show([_row(file) for file in files])
        self.query_one("#path", Input).suggester = SuggestFromList([_short(file.path) for file in files])

    def action_type(self) -> None:
        """Focus the input line."""
        self.query_one("#path", Input).focus()

    def action_back(self) -> None:
        """Go from the input line to the table, and from the table to the runs."""
        if self.focused is self.grid:
            self.dismiss()
        else:
            self.grid.focus()

    @on(Grid.Chosen)
    def _picked(self, message: Grid.Chosen) -> None:
        self._open(self._files[message.key])

    @on(Input.Submitted, "#path")
    def _typed(self, event: Input.Submitted) -> None:
        if event.value.strip():
            path = Path(event.value.strip()).expanduser()
            in_thread(self, lambda: look_at(path), self._open)

    def _open(self, file: SuiteFile) -> None:
        """Open a suite, or its problems; a TOML file that is not a suite gives a notice."""
        if file.problem and file.is_toml:
            self.notify(f"{_short(file.path)}: {file.problem}", severity="warning", markup=False)
        else:
            self.app.push_screen(PreviewSuite(Path(_short(file.path))))


def _short(path: Path) -> str:
    """A short form of a path, relative to the current folder or home."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _row(file: SuiteFile) -> Row:
    tone = "" if not file.problem else "muted" if file.is_toml else "warn"
    cells = {
        "file": text(clean(_short(file.path)), tone),
        "suite": text(clean(file.name)),
        "experiments": text(str(file.experiments) if file.experiments else ""),
        "age": text(f"{duration(max(0.0, time.time() - file.changed))} ago", "muted"),
        "about": text(clean(file.problem), tone),
    }
    return Row(str(file.path), cells)
