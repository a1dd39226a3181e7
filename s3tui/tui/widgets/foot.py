"""The line of keys under a screen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey


class Foot(Footer):
    """The footer; on a narrow screen it cuts other keys, never `?`, which stays at its right end."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        """Textual's keys, the help docked as Textual docks its palette."""
        for part in super().compose():
            if isinstance(part, FooterKey) and part.action == "help":
                part.add_class("-command-palette")
            yield part
