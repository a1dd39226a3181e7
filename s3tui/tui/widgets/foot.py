"""The line of keys under a screen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import HorizontalGroup
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

ENDS = ("back", "leave", "help")  # the actions whose keys are at the right end


class Foot(Footer):
    """The footer; on a narrow screen it cuts other keys, never those that lead away and to the help."""

    DEFAULT_CSS = """
    Foot #ends {
        dock: right;
        width: auto;
        background: $footer-background;
        border-left: vkey $foreground 20%;
        & FooterKey { margin: 0 0 0 1; }
        & FooterKey:first-child { margin: 0; }
    }
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        """Textual's keys, those at the end docked as Textual docks its palette."""
        keys = list(super().compose())
        ends = [part for part in keys if isinstance(part, FooterKey) and part.action in ENDS]
        yield from (part for part in keys if part not in ends)
        if ends:
            yield HorizontalGroup(*ends, id="ends")
