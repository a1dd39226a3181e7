"""The Gates tab: a map of p, live or at an earlier step, and the candidates with the largest p."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer

from s3tui.runs.history import Frame
from s3tui.structures.grid_layout import NO_MAP
from s3tui.structures.selection_history import places_by_p
from s3tui.text.sanitize import clean
from s3tui.text.units import count
from s3tui.tui.panes.gate_pane_base import GatedPane
from s3tui.tui.support.keys import key
from s3tui.tui.support.palette import Cell, bar, text
from s3tui.tui.widgets.grid import Column, Grid, Row
from s3tui.tui.widgets.heatmap import SELECTED, HeatMap
from s3tui.tui.widgets.message import MessageLines
from s3tui.tui.widgets.scrubber import Scrubber

TOP = 50  # candidates in the list beside the map
BAR = 8
COLUMNS = (
    Column("rank", "#", 3, right=True), Column("name", "candidate", 0), Column("p", "p", 5, right=True),
    Column("bar", "", BAR),
)  # fmt: skip
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_CELLS = 40
JUMP = 0.1  # of the search
PLAY_SECONDS = 0.1  # between two frames
PLAY_MOMENTS = 150  # most frames in which a whole search is played


class GatesPane(GatedPane):
    """The tab."""

    PARTS = ("map", "top")
    BINDINGS: ClassVar[list[BindingType]] = [
        key("comma", "step(-1)", "Earlier", "Go back to the gates logged before", footer=True),
        key("full_stop", "step(1)", "Later", "Go to the gates logged next", footer=True),
        key("less_than_sign", "jump(-1)", "Jump back", "Go back by a tenth of the search"),
        key("greater_than_sign", "jump(1)", "Jump on", "Go forward by a tenth of the search"),
        key("space", "live", "Live", "Go to the end, and follow it", footer=True),
        key("a", "play", "Play", "Play the search from here, or stop", footer=True),
        key("v", "part", "Part", "To the largest p and back to the map"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._at: int | None = None  # the step that is shown; None for the latest, live
        self._playing: Timer | None = None
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """The candidate under the cursor, the map, the largest p, the time slider."""
        yield MessageLines(id="cursor")
        with Container(classes="parts"):
            yield HeatMap(id="map", classes="part")
            top = Grid(COLUMNS, id="top")
            top.add_class("part")
            top.border_title = "largest p"
            yield top
        yield Scrubber()

    @property
    def heatmap(self) -> HeatMap:
        """The map."""
        return self.query_one(HeatMap)

    @property
    def frame(self) -> Frame | None:
        """The gates that are shown."""
        frames = self.history.frames
        return frames[self._place] if frames else None

    @property
    def _place(self) -> int:
        frames = self.history.frames
        if self._at is None:
            return len(frames) - 1
        return max(0, bisect_right(frames, self._at, key=lambda frame: frame.step) - 1)

    @property
    def top(self) -> float:
        """The upper end of the scale: the largest p of the whole search, rounded up to a tenth."""
        peak = max(
            (choice.peak for choice in self.choices), default=max(self.frame.p, default=0.0) if self.frame else 0
        )
        return max(1, math.ceil(10 * min(1.0, peak))) / 10

    @property
    def marked(self) -> frozenset[int]:
        """The selection at the shown step; at the end the structure, if there is one."""
        frame = self.frame
        if frame is None or frame is self.latest:
            return self.selected or frozenset()
        return next((c.selected for c in self.choices if c.frame is frame), frozenset())

    def other_run(self) -> None:
        """Show the new run live."""
        self._stop()
        self._at = None

    # Drawing

    def on_resize(self) -> None:
        """Draw the sparkline again, as its width changes."""
        self.draw()

    def draw(self) -> None:
        """Draw the shown step."""
        frame, marked, top, heatmap = self.frame, self.marked, self.top, self.heatmap
        heatmap.empty = self.empty
        looked_at = (frame, marked, top, self.map, heatmap.cursor, self.size.width)
        drawn = (*looked_at, len(self.history.frames), self._playing, self.empty)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        p, marks = (frame.p, dict.fromkeys(marked, SELECTED)) if frame else ((), {})
        heatmap.show(self.map if frame else NO_MAP, p, marks, top)
        heatmap.border_title = f"p after step {frame.step:,}" if frame else "gates"
        if frame:
            heatmap.explain("p  0", f"{top:.1f}   [ ] selected")
        self._draw_largest(p, marked, top)
        self._draw_cursor()
        self._draw_time()

    def _draw_largest(self, p: Sequence[float], marked: frozenset[int], scale: float) -> None:
        grid = self.query_one("#top", Grid)
        order = sorted(range(len(p)), key=lambda i: -p[i])[:TOP]
        grid.show([_row(place, i, self.names[i], p[i], scale, i in marked) for place, i in enumerate(order, 1)])
        grid.border_subtitle = f"{len(marked)} of {len(p)} selected" if p else ""

    def _draw_cursor(self) -> None:
        frame, index = self.frame, self.heatmap.cursor
        if frame is None or index >= len(self.candidates):
            self.query_one(MessageLines).show([])
            return
        temperature = _temperature(self.run.spec if self.run else {})
        alpha = frame.alpha(index, temperature)
        first = [text(clean(self.names[index]), "strong"), *_named("p", f"{frame.p[index]:.4f}")]
        first += _named("alpha", "-" if alpha is None else f"{alpha:+.3f}")
        first += _named("parameters", count(self.candidates[index].parameters))
        second = [*_named("place by p", f"{places_by_p(frame.p)[index]} of {len(frame.p)}", gap="")]
        second += [text("  "), text("selected", "good") if index in self.marked else text("not selected", "muted")]
        second += self._history_of(index)
        self.query_one(MessageLines).show([first, second])

    def _history_of(self, index: int) -> list[Cell]:
        """p of one candidate over the search as a sparkline; steps after the shown one are muted."""
        frames = self.history.frames
        cells = min(SPARK_CELLS, max(8, self.size.width - 56), len(frames))
        places = [round(n * (len(frames) - 1) / max(1, cells - 1)) for n in range(cells)]
        values = [frames[place].p[index] for place in places]
        line, now = sparkline(values), sum(place <= self._place for place in places)
        ends = f"{min(values):.2f} to {max(values):.2f}"
        return [text("  p "), text(line[:now], "accent"), text(line[now:], "muted"), text(f" {ends}", "muted")]

    def _draw_time(self) -> None:
        scrubber, frames, frame = self.query_one(Scrubber), self.history.frames, self.frame
        scrubber.set_class(frame is None, "-empty")
        if frame is None:
            return
        first, last = frames[0].step, frames[-1].step
        share = (frame.step - first) / (last - first) if last > first else 1.0
        moment = f"step {frame.step:>{len(f'{last:,}')},} of {last:,}"
        mode = "playing" if self._playing else "latest" if self._at is None else "space: latest"
        scrubber.show(share, moment, mode)

    # Keys and mouse

    def _go(self, place: int) -> None:
        frames = self.history.frames
        if frames:
            place = max(0, place)
            self._at = frames[place].step if place < len(frames) - 1 else None
            self.draw()

    def action_step(self, by: int) -> None:
        """Go to the gates logged before or next."""
        self._stop()
        self._go(self._place + by)

    def action_jump(self, by: int) -> None:
        """Go by a tenth of the search."""
        self.action_step(by * max(1, round(JUMP * len(self.history.frames))))

    def action_live(self) -> None:
        """Go to the end, and follow it."""
        self._stop()
        self._go(len(self.history.frames))

    def action_play(self) -> None:
        """Play the search from here, or from the start if this is the end; or stop playing."""
        if self._playing:
            self._stop()
        elif len(self.history.frames) > 1:
            self._playing = self.set_interval(PLAY_SECONDS, self._play_on)
            self._go(0 if self._at is None else self._place)
        self.draw()

    def _play_on(self) -> None:
        self._go(self._place + max(1, len(self.history.frames) // PLAY_MOMENTS))
        if self._at is None:
            self._stop()
            self.draw()

    def _stop(self) -> None:
        if self._playing:
            self._playing.stop()
            self._playing = None

    def on_hide(self) -> None:
        """Stop playing when the tab is hidden."""
        self._stop()

    @on(Scrubber.Scrubbed)
    def _scrub(self, message: Scrubber.Scrubbed) -> None:
        self._stop()
        frames = self.history.frames
        first, last = frames[0].step, frames[-1].step
        step = first + message.share * (last - first)
        self._go(bisect_right(frames, step, key=lambda frame: frame.step) - 1)

    @on(HeatMap.Moved)
    def _moved(self) -> None:
        self.draw()

    @on(Grid.Highlighted)
    def _find_on_map(self, message: Grid.Highlighted) -> None:
        if message.grid.has_focus and message.key is not None:
            self.heatmap.move_to(int(message.key))


def _row(place: int, index: int, name: str, p: float, scale: float, selected: bool) -> Row:
    tone = "" if selected else "muted"
    cells: dict[str, Cell] = {
        "rank": text(str(place), "muted"), "name": text(clean(name), tone), "p": text(f"{p:.3f}", tone),
        "bar": bar(p / scale, BAR),
    }  # fmt: skip
    return Row(str(index), cells)


def _named(name: str, value: str, gap: str = "  ") -> list[Cell]:
    return [text(f"{gap}{name} ", "muted"), text(value)]


def _temperature(spec: Mapping[str, object]) -> float:
    search = spec.get("search")
    value = search.get("temperature") if isinstance(search, dict) else None
    return float(value) if isinstance(value, (int, float)) else 1.0


def sparkline(values: Sequence[float]) -> str:
    """A glyph for each value, scaled from the lowest to the highest."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    width = high - low
    return "".join(SPARKS[int((v - low) / width * (len(SPARKS) - 1) + 0.5)] if width else SPARKS[0] for v in values)
