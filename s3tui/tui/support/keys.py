"""Keys, described once: the footer, the help and the command palette are made of them."""

from __future__ import annotations

from textual.binding import Binding

NAMES = {"slash": "/", "question_mark": "?", "exclamation_mark": "!", "plus": "+", "minus": "-"}


def key(keys: str, action: str, name: str, told: str = "", footer: bool = False) -> Binding:
    """A binding that the help tells of: `name` in the palette and the footer, `told` in full."""
    return Binding(keys, action, name, show=footer, id=action, tooltip=told or name, key_display=NAMES.get(keys))
