"""The Config tab: the settings of a run, all or only those in which it differs from another run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from s3tui.listing.grouping import flat
from s3tui.listing.run_row import Line
from s3tui.runs.workspace import FoundRun
from s3tui.text.sanitize import clean
from s3tui.tui.dialogs.question import Choose
from s3tui.tui.panes.base import GridPane
from s3tui.tui.snapshot import RunDetail
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import plain, text
from s3tui.tui.widgets.grid import Column, Grid, Row

COLUMNS = (Column("key", "setting", 32), Column("value", "value", 0, name=True))
COMPARED = (Column("key", "setting", 32), Column("value", "here", 0, name=True), Column("other", "there", 0, name=True))


class ConfigPane(GridPane):
    """The tab."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("f", "against", "Against", "Only what differs from another run", footer=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._spec: Mapping[str, Any] = {}
        self._name = ""
        self._other = ""

    def compose(self) -> ComposeResult:
        """A table of settings."""
        yield Grid(COLUMNS, "this run has no readable settings", id="config")

    def show(self, run: FoundRun, line: Line, detail: RunDetail) -> None:
        """Show the settings, which never change; the other run may be deleted."""
        if run.spec is not self._spec:
            self._spec, self._name = run.spec, run.name
            self._fill()

    def _fill(self) -> None:
        grid = self.query_one(Grid)
        other = self.s3.snapshot.runs.get(self._other)
        grid.border_title = plain("settings" if other is None else f"settings that differ from {self._other}")
        grid.show_columns(COLUMNS if other is None else COMPARED, all_of_them=True)
        grid.empty = "this run has no readable settings" if other is None else "the two runs have the same settings"
        grid.show(list(_rows(self._spec, None if other is None else other.spec)))

    def action_against(self) -> None:
        """Choose the other run."""
        names = [name for name in self.s3.snapshot.runs if name not in (self._name, self._other)]
        answers = [("", "", "no other run: all settings"), *((name, "", clean(name)) for name in names)]
        self.app.push_screen(Choose("Compare the settings with", answers), self._compare)

    def _compare(self, name: str | None) -> None:
        if name is not None:
            self._other = name
            self._fill()


def _rows(spec: Mapping[str, Any], other: Mapping[str, Any] | None) -> Iterator[Row]:
    here, there = dict(flat(spec)), dict(flat(other or {}))
    for name in dict.fromkeys((*here, *there)):
        if other is None or here.get(name) != there.get(name):
            cells = {"key": text(clean(name), "muted"), "value": text(_written(here.get(name)))}
            yield Row(name, cells | {"other": text(_written(there.get(name)))})


def _written(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return clean(", ".join(map(str, value)))
    return "-" if value is None else clean(str(value))
