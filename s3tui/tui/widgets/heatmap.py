"""A heat map of the network: rows are sites with deltas, columns are layers, with a cursor on one candidate.

Row and column names are fixed while the rest scrolls. A line is cached until one of its values changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import set_cell_size
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from s3tui.structures.grid_layout import GateMap
from s3tui.text.sanitize import clean
from s3tui.tui.support import colour_scale
from s3tui.tui.support.keys import move
from s3tui.tui.support.palette import Toned
from s3tui.tui.widgets.map_layout import MapLayout, laid_out

COLOURFUL = ("truecolor", "256")
SELECTED = "[]"


class HeatMap(Toned, can_focus=True):
    """A value for each candidate as a colour. `marks` are pairs of glyphs around the values of some candidates."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"heat--cursor", "heat--cursor-blurred", "heat--here"}
    BINDINGS: ClassVar[list[BindingType]] = [
        move("up,k", "move(-1, 0)", "Up"),
        move("down,j", "move(1, 0)", "Down"),
        move("left,h", "move(0, -1)", "Left"),
        move("right,l", "move(0, 1)", "Right"),
        move("home", "far(-1)", "First layer"),
        move("end", "far(1)", "Last layer"),
    ]

    class Moved(Message):
        """The cursor moved to another candidate."""

        def __init__(self, heatmap: HeatMap, index: int) -> None:
            self.heatmap, self.index = heatmap, index
            super().__init__()

        @property
        def control(self) -> HeatMap:
            """The map."""
            return self.heatmap

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.empty = ""
        self.cursor = 0
        self._layout = MapLayout()
        self._values: Sequence[float] = ()
        self._marks: Mapping[int, str] = {}
        self._top = 1.0
        self._legend = ("", "")
        self._strips: dict[int, Strip] = {}
        self._styles: dict[tuple[int, bool], Style] = {}

    # What is shown

    def show(self, map: GateMap, values: Sequence[float], marks: Mapping[int, str], top: float = 1.0) -> None:
        """Show a value between 0 and `top` for each candidate of the map, and marks on some."""
        is_other = map is not self._map
        if not is_other and values is self._values and (marks, top) == (self._marks, self._top):
            return
        self._values, self._marks, self._top = values, marks, top
        if is_other:
            self.cursor = min(self.cursor, max(0, len(map.places) - 1))
            self._lay_out(map)
        else:
            self._redraw()

    @property
    def values(self) -> Sequence[float]:
        """The shown values, by candidate."""
        return self._values

    @property
    def marks(self) -> Mapping[int, str]:
        """The marks, by candidate."""
        return self._marks

    @property
    def is_plain(self) -> bool:
        """Whether the terminal has too few colours for a scale, so that glyphs are used."""
        return self.app.no_color or self.app.console.color_system not in COLOURFUL

    def explain(self, low: str, high: str) -> None:
        """Set the labels of the legend below the map, for the lowest and the highest value."""
        if (low, high) != self._legend:
            self._legend = (low, high)
            self._show_legend()

    def _show_legend(self) -> None:
        low, high = self._legend
        steps = [n / 7 for n in range(8)]
        if self.is_plain:
            self.border_subtitle = Content(f"{low} {''.join(dict.fromkeys(map(colour_scale.shade, steps)))} {high}")
        else:
            blocks = [("█", "rgb({},{},{})".format(*self._colours[colour_scale.level(step)])) for step in steps]
            self.border_subtitle = Content.assemble(f"{low} ", *blocks, f" {high}")

    @property
    def _colours(self) -> Sequence[colour_scale.Colour]:
        return colour_scale.DARK if self.app.current_theme.dark else colour_scale.LIGHT

    # Keys and mouse

    def action_move(self, down: int, right: int) -> None:
        """Move the cursor to the next candidate."""
        if self._map.places:
            self.move_to(self._map.step(self.cursor, down, right))

    def action_far(self, right: int) -> None:
        """Move the cursor to the first or the last layer of its row."""
        if self._map.places:
            line = [i for i in self._map.cells[self._map.places[self.cursor][0]] if i is not None]
            self.move_to(line[0] if right < 0 else line[-1])

    def move_to(self, index: int) -> None:
        """Put the cursor on a candidate."""
        if index != self.cursor and 0 <= index < len(self._map.places):
            for row in (self._map.places[self.cursor][0], self._map.places[index][0]):
                self._strips.pop(row, None)
            self.cursor = index
            self._scroll_to_cursor()
            self.refresh()
            self.post_message(self.Moved(self, index))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked candidate."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y == 0 or offset.x < self._layout.names:
            return
        row = round(self.scroll_offset.y) + offset.y - 1
        x = offset.x - self._layout.names + round(self.scroll_offset.x)
        if row < len(self._map.rows) and (there := self._layout.candidate_at(row, x)) is not None:
            self.move_to(there)

    def _scroll_to_cursor(self) -> None:
        at = (round(self.scroll_offset.x), round(self.scroll_offset.y))
        room = (self._room, max(1, self.scrollable_content_region.height - 1))
        x, y = self._layout.scrolled_to(self.cursor, at, room)
        self.scroll_to(x=x, y=y, animate=False, immediate=True)

    # Drawing

    @property
    def _map(self) -> GateMap:
        return self._layout.map

    @property
    def _room(self) -> int:
        return max(1, self.scrollable_content_region.width - self._layout.names)

    def _lay_out(self, map: GateMap) -> None:
        self._layout = laid_out(map, max(1, self.size.width), self.is_plain)
        self.virtual_size = Size(self._layout.names + self._layout.width, len(map.rows) + 1)
        self._redraw()

    def _redraw(self) -> None:
        self._strips.clear()
        self.refresh()

    def on_resize(self) -> None:
        """Lay out again, as columns may be wider."""
        self._lay_out(self._map)
        if self._map.places:
            self._scroll_to_cursor()

    def notify_style_update(self) -> None:
        """Draw again, as the theme has changed."""
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()
        if any(self._legend):
            self._show_legend()

    def watch_has_focus(self, _: bool) -> None:
        """Draw the cursor again: it looks different without focus."""
        self._redraw()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen: the fixed name, and the visible part of the row."""
        width, base = self.size.width, self.base
        if not self._map.places:
            return self.message_line(self.empty, y)
        left = round(self.scroll_offset.x)
        if y == 0:
            name, line = Strip([Segment(" " * self._layout.names, base)]), self._heads(left)
        else:
            row = round(self.scroll_offset.y) + y - 1
            if row >= len(self._map.rows):
                return Strip.blank(width, base)
            name = Strip([Segment(self._row_name(row), self._row_style(row))])
            line = self._strips.get(row) or self._strips.setdefault(row, self._draw(row))
            line = line.crop(left, left + self._room)
        return Strip.join([name, line]).adjust_cell_length(width, base)

    @property
    def _at(self) -> tuple[int, int]:
        return self._map.places[self.cursor] if self._map.places else (-1, -1)

    def _row_name(self, row: int) -> str:
        return set_cell_size(clean(self._map.rows[row]), self._layout.names - 1) + " "

    def _row_style(self, row: int) -> Style:
        return self._here() if row == self._at[0] else self.base + self.tone("muted")

    def _here(self) -> Style:
        return self.base + self.get_component_rich_style("heat--here", partial=True)

    def _heads(self, left: int) -> Strip:
        """The column names that fit; always that of the cursor."""
        line, (a, b) = self._layout.line_of_titles(self._at[1], left, self._room)
        muted = self.base + self.tone("muted")
        return Strip([Segment(line[:a], muted), Segment(line[a:b], self._here()), Segment(line[b:], muted)])

    def _draw(self, row: int) -> Strip:
        segments: list[Segment] = []
        x, plain = 0, self.is_plain
        for start, index in zip(self._layout.starts, self._map.cells[row], strict=True):
            if start > x:
                segments.append(Segment(" " * (start - x), self.base))
            segments.append(Segment(" " * self._layout.cell, self.base) if index is None else self._field(index, plain))
            x = start + self._layout.cell
        return Strip(segments, x)

    def _field(self, index: int, plain: bool) -> Segment:
        """One candidate: its colour, or a glyph without colours, between its marks."""
        value = self._values[index] / self._top if index < len(self._values) else 0.0
        mark = self._marks.get(index)
        fill = colour_scale.shade(value) if plain else " "
        field = fill * self._layout.cell if mark is None else mark[0] + fill * (self._layout.cell - 2) + mark[1]
        if index == self.cursor:
            name = "heat--cursor" if self.has_focus else "heat--cursor-blurred"
            return Segment(field, self.base + self.get_component_rich_style(name, partial=True))
        return Segment(field, self.base if plain else self._style(colour_scale.level(value), mark is not None))

    def _style(self, level: int, marked: bool) -> Style:
        if (level, marked) not in self._styles:
            back = self._colours[level]
            colours = Color.from_rgb(*colour_scale.on(back)), Color.from_rgb(*back)
            self._styles[level, marked] = Style(color=colours[0], bgcolor=colours[1], bold=marked)
        return self._styles[level, marked]
