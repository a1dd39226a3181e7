"""Tones, glyphs of states, and bars. A tone is a component class of CSS, so it depends on the theme."""

from __future__ import annotations

from typing import Any

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.content import Content
from textual.scroll_view import ScrollView
from textual.strip import Strip

from s3tui.text.sanitize import clean

TONES = ("muted", "good", "warn", "bad", "accent", "strong")
STYLES = {
    "": "", "muted": "dim", "good": "$text-success", "warn": "$text-warning", "bad": "$text-error",
    "accent": "$accent", "strong": "bold",
}  # fmt: skip
Part = tuple[str, str]  # a text and its tone; the empty tone is plain text
Cell = tuple[Part, ...]

# Glyphs of one cell each that terminal fonts contain; the word beside them has the same meaning without colour.
STATES: dict[str, Part] = {
    "queued": ("○", "muted"),
    "running": ("●", "good"),
    "quiet": ("◐", "warn"),
    "paused": ("■", "muted"),
    "finished": ("✓", "good"),
    "failed": ("✗", "bad"),
    "cancelled": ("-", "muted"),
    "dead": ("†", "bad"),
    "damaged": ("!", "bad"),
}
# Colours of lines in a plot: the colour-blind-safe palette of Okabe and Ito, for dark and for light themes.
COLOURS_DARK = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (170, 170, 170),
    (0, 114, 178),
)
COLOURS_LIGHT = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (170, 80, 130),
    (130, 110, 0),
    (90, 90, 90),
    (86, 180, 233),
    (0, 0, 0),
)

# The eight of a terminal with 16 colours that stand out from a dark or a light background; those above would be rounded
# to the nearest of the 16, several of them to the same.
SIXTEEN_DARK = (
    (85, 255, 255), (255, 255, 85), (85, 255, 85), (255, 85, 255), (255, 255, 255), (255, 85, 85), (170, 170, 170),
    (85, 85, 255),
)  # fmt: skip
SIXTEEN_LIGHT = (
    (0, 0, 170), (170, 85, 0), (0, 170, 0), (170, 0, 170), (85, 85, 85), (170, 0, 0), (0, 170, 170), (0, 0, 0),
)  # fmt: skip
# And its tones: a theme's own are pale, so that "failed" would be rounded to grey, and its accent to red.
TONES_DARK = {
    "text-success": "rgb(85,255,85)", "text-warning": "rgb(255,255,85)", "text-error": "rgb(255,85,85)",
    "accent": "rgb(85,255,255)",
}  # fmt: skip
TONES_LIGHT = {
    "text-success": "rgb(0,170,0)", "text-warning": "rgb(170,85,0)", "text-error": "rgb(170,0,0)",
    "accent": "rgb(0,0,170)",
}  # fmt: skip


def has_sixteen_colours(app: App[Any]) -> bool:
    """Whether the terminal has no more than 16 colours."""
    return app.console.color_system == "standard"


def line_colours(app: App[Any]) -> tuple[tuple[int, int, int], ...]:
    """The colours of lines in plots, for the terminal and the theme."""
    if has_sixteen_colours(app):
        return SIXTEEN_DARK if app.current_theme.dark else SIXTEEN_LIGHT
    return COLOURS_DARK if app.current_theme.dark else COLOURS_LIGHT


def text(value: str, tone: str = "") -> Cell:
    """A cell of one tone."""
    return ((value, tone),)


def state(name: str) -> Cell:
    """A state as glyph and word."""
    glyph, tone = STATES.get(name, ("?", ""))
    return ((f"{glyph} ", tone), (name, tone if tone in ("bad", "warn") else ""))


def bar(share: float, width: int) -> Cell:
    """A bar with a filled share, in halves of a cell."""
    halves = round(2 * width * min(1.0, max(0.0, share)))
    full, half = divmod(halves, 2)
    done = "━" * full + ("╸" if half else "")
    return ((done, "accent"), ("─" * (width - len(done)), "muted"))


def content(*cells: Cell) -> Content:
    """Cells joined to content for widgets."""
    return Content.assemble(*((part, STYLES[tone]) for cell in cells for part, tone in cell))


def plain(value: str) -> Content:
    """A text from a file for titles and notices: without markup and control characters."""
    return Content(clean(value))


class Toned(ScrollView):
    """A widget that draws its own lines in the tones of the theme."""

    COMPONENT_CLASSES = {f"tone--{tone}" for tone in TONES}  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._mixed: dict[tuple[str, ...], Style] = {}
        self._base: Style | None = None

    @property
    def base(self) -> Style:
        """The style of plain text; cached, as it is computed from all ancestors."""
        if self._base is None:
            self._base = self.rich_style
        return self._base

    def tone(self, name: str) -> Style:
        """The style of a tone, on the background of the widget."""
        return self.get_component_rich_style(f"tone--{name}", partial=True) if name else Style()

    def get_component_rich_style(self, *names: str, partial: bool = False, default: Style | None = None) -> Style:
        """The style of a component. A partial one is blended with the background, which Textual does not do."""
        if not partial:
            whole: Style = super().get_component_rich_style(*names, default=default)
            return whole
        if names not in self._mixed:
            self._mixed[names] = self._mix(*names)
        return self._mixed[names]

    def _mix(self, *names: str) -> Style:
        styles = self.get_component_styles(*names)
        _, back = self.background_colors
        has_back = styles.has_rule("background") and styles.background.a > 0
        back += styles.background if has_back else None
        front = back.get_contrast_text(styles.color.a) if styles.auto_color else styles.color
        has_front = styles.has_rule("color") and front.a > 0
        colours = (back + front).rich_color if has_front else None, back.rich_color if has_back else None
        mixed: Style = Style(color=colours[0], bgcolor=colours[1]) + styles.text_style
        return mixed

    def message_line(self, message: str, y: int, first: int = 0) -> Strip:
        """Line y of an empty widget: a message in the middle.

        `first` is the first free line.
        """
        width, lines = self.size.width, message.splitlines()
        at = y - max(first, (self.size.height - len(lines)) // 2)
        if not 0 <= at < len(lines):
            return Strip.blank(width, self.base)
        shown = set_cell_size(lines[at].center(width), width)
        return Strip([Segment(shown, self.base + self.tone("muted"))], width)

    def notify_style_update(self) -> None:
        """Clear the caches, as the theme has changed."""
        self._mixed, self._base = {}, None
        super().notify_style_update()
