"""The line of keys under a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

ALWAYS = ("back", "leave", "help")  # actions whose keys are shown on the narrowest screen
EDGE = 1  # cells of the line before the help


class Foot(Footer):
    """The footer; a narrow screen leaves out other keys, never how to leave, nor `?`, which stays at its right end."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        """Textual's keys for which there is room, the help docked as Textual docks its palette."""
        keys = [part for part in super().compose() if isinstance(part, FooterKey)]
        for key in fitting(keys, self.app.size.width):
            if key.action == "help":
                key.add_class("-command-palette")
            yield key

    def on_resize(self, _: events.Resize) -> None:
        """Show as many keys as there is room for now."""
        self.refresh(recompose=True)


def fitting(keys: Sequence[FooterKey], width: int) -> Iterator[FooterKey]:
    """Those keys that fit, in their order: the first ones, and those without which nobody finds the way."""
    room = width - EDGE - sum(_width(key) for key in keys if key.action in ALWAYS)
    for key in keys:
        if key.action not in ALWAYS:
            room -= _width(key)
        if key.action in ALWAYS or room >= 0:
            yield key


def _width(key: FooterKey) -> int:
    return cell_len(f"{key.key_display} {key.description} ")
