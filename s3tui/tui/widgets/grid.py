"""A table that draws only visible rows that have changed, so that a thousand rows cost no more than thirty.

Textual's DataTable renders every visible cell again when one changes (0.2 ms per cell), this one only the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from s3tui.tui.support.keys import move
from s3tui.tui.support.palette import Cell
from s3tui.tui.widgets.table_layout import Column, Layout, Row, column_at, laid_out, line_of, scrolled, titles, width_of
from s3tui.tui.widgets.walked import Walked

__all__ = ["Column", "Grid", "Row"]


class Grid(Walked, can_focus=True):
    """A table with a fixed header and a row cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--header", "grid--cursor", "grid--cursor-blurred", "grid--heading"}
    BINDINGS: ClassVar[list[BindingType]] = [
        move("left,h", "shift(-1)", "Columns to the left"),
        move("right,l", "shift(1)", "Columns to the right"),
        move("enter", "choose", "Open"),
    ]

    class Highlighted(Message):
        """The cursor moved to another row."""

        def __init__(self, grid: Grid, key: str | None) -> None:
            self.grid, self.key = grid, key
            super().__init__()

        @property
        def control(self) -> Grid:
            """The table."""
            return self.grid

    class Chosen(Message):
        """The user wants to open a row."""

        def __init__(self, grid: Grid, key: str) -> None:
            self.grid, self.key = grid, key
            super().__init__()

        @property
        def control(self) -> Grid:
            """The table."""
            return self.grid

    class HeaderClicked(Message):
        """A column header was clicked."""

        def __init__(self, grid: Grid, column: str) -> None:
            self.grid, self.column = grid, column
            super().__init__()

    def __init__(self, columns: Sequence[Column], empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.rows: list[Row] = []
        self.sorted_by = ""  # the key of a column, with a leading `-` for descending order
        self.empty = empty
        self._all_columns = False
        self._first_column = 0
        self._cursor = 0
        self._layout: Layout = []
        self._strips: dict[int, Strip] = {}

    # What is shown

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows. The cursor stays on the same key; only changed lines are drawn."""
        old, key = self.rows, self.cursor_key
        self.rows = list(rows)
        if len(old) != len(self.rows):
            self.virtual_size = Size(self._width(), len(self.rows) + 1)
        changed = {y for y, row in enumerate(self.rows) if y >= len(old) or (old[y] is not row and old[y] != row)}
        changed |= set(range(len(self.rows), len(old)))
        was_at = self._cursor
        # A row that has not moved needs no search.
        if not (was_at < len(self.rows) and self.rows[was_at].key == key):
            places = {row.key: place for place, row in enumerate(self.rows)}
            self._cursor = places.get(key or "", min(was_at, max(0, len(self.rows) - 1)))
            changed |= {was_at, self._cursor}
        self._redraw(changed)
        if self.cursor_key != key:
            self._cursor_moved()

    def show_columns(self, columns: Sequence[Column], all_of_them: bool = False) -> None:
        """Show as many of these columns as there is room for, or all of them with scrolling."""
        self.columns, self._all_columns, self._first_column = tuple(columns), all_of_them, 0
        self._lay_out()

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor; None if there is none."""
        return self.rows[self._cursor].key if self._cursor < len(self.rows) else None

    def move_to(self, key: str) -> None:
        """Move the cursor to a row if it exists."""
        for place, row in enumerate(self.rows):
            if row.key == key:
                self._move_cursor(place)
                return

    # Keys and mouse

    @property
    def place(self) -> int:
        """The row of the cursor."""
        return self._cursor

    @place.setter
    def place(self, to: int) -> None:
        self._move_cursor(to)

    @property
    def texts(self) -> Iterator[str]:
        """The whole text of each row, in the columns that are shown, with its key."""
        shown = [column.key for column, _ in self._layout]
        for row in self.rows:
            yield " ".join((row.key, *(_written(row.cells.get(key, ())) for key in shown)))

    @property
    def to_copy(self) -> tuple[str, str]:
        """The row under the cursor, its cells separated by tabs."""
        cells = self.rows[self._cursor].cells if self._cursor < len(self.rows) else {}
        return "row", "\t".join(_written(cells.get(column.key, ())) for column in self.columns)

    def action_shift(self, by: int) -> None:
        """Scroll the columns left or right; the first one is fixed."""
        hidden = len(self.columns) - len(self._layout)
        first = min(max(0, self._first_column + by), max(0, hidden if self._all_columns else 0))
        if first != self._first_column:
            self._first_column = first
            self._lay_out()

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self.cursor_key is not None:
            self.post_message(self.Chosen(self, self.cursor_key))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor; a second click opens the row, a click on the header sorts."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            column = column_at(self._layout, offset.x)
            if column is not None:
                self.post_message(self.HeaderClicked(self, column.key))
            return
        place = round(self.scroll_offset.y) + offset.y - 1
        if place < len(self.rows):
            self._move_cursor(place)
            if event.chain == 2:
                self.action_choose()

    def _move_cursor(self, to: int) -> None:
        to = min(max(0, to), max(0, len(self.rows) - 1))
        if to != self._cursor:
            before, self._cursor = self._cursor, to
            self._redraw({before, to})
            self._cursor_moved()
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        visible = max(1, self.size.height - 1)
        top = round(self.scroll_offset.y)
        if self._cursor < top or self._cursor >= top + visible:
            target = self._cursor if self._cursor < top else self._cursor - visible + 1
            self.scroll_to(y=target, animate=False, immediate=True)

    def _cursor_moved(self) -> None:
        self.post_message(self.Highlighted(self, self.cursor_key))

    # Drawing

    def _redraw(self, places: set[int]) -> None:
        for place in places:
            self._strips.pop(place, None)
        top, height = round(self.scroll_offset.y), self.size.height
        seen = [place - top + 1 for place in places if 0 <= place - top < height]
        if not self.rows or len(seen) > height // 2:
            self.refresh()
        elif seen:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in seen))

    def _width(self) -> int:
        return max(1, self.size.width - self.styles.scrollbar_size_vertical)

    def _lay_out(self) -> None:
        """Compute the shown columns and their widths."""
        room, columns = self._width(), self.columns
        self._layout = scrolled(columns, room, self._first_column) if self._all_columns else laid_out(columns, room)
        self._strips.clear()
        self.virtual_size = Size(room, len(self.rows) + 1)
        self.refresh()

    def on_resize(self) -> None:
        """Lay out again, as other columns may fit."""
        self._lay_out()
        self._scroll_to_cursor()

    def notify_style_update(self) -> None:
        """Draw again, as the theme has changed."""
        super().notify_style_update()
        self._strips.clear()

    def watch_has_focus(self, _: bool) -> None:
        """Draw the cursor again: it looks different without focus."""
        self._redraw({self._cursor})

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width, base = self.size.width, self.base
        if y == 0:
            return self._header().adjust_cell_length(width, base)
        place = round(self.scroll_offset.y) + y - 1
        if place >= len(self.rows):
            return self.message_line("" if self.rows else self.empty, y, first=1)
        strip = self._strips.get(place)
        if strip is None:
            if len(self._strips) > 500:
                self._strips.clear()
            strip = self._strips[place] = self._draw(place, width)
        return strip

    def _style_of(self, place: int) -> Style:
        style = self.base
        if place == self._cursor:
            return style + self.get_component_rich_style(
                "grid--cursor" if self.has_focus else "grid--cursor-blurred", partial=True
            )
        if self.rows[place].heading:
            return style + self.get_component_rich_style("grid--heading", partial=True)
        return style

    def _header(self) -> Strip:
        style = self.base + self.get_component_rich_style("grid--header", partial=True)
        segments = [Segment(title, style) for title in titles(self._layout, self.sorted_by)]
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def _draw(self, place: int, width: int) -> Strip:
        base = self._style_of(place)
        segments = [Segment(part, base + self.tone(tone)) for part, tone in line_of(self.rows[place], self._layout)]
        return Strip(segments, width_of(self._layout)).adjust_cell_length(width, base)


def _written(cell: Cell) -> str:
    return "".join(part for part, _ in cell).strip()
