"""Key bindings with descriptions, from which footer, help and command palette are made."""

from __future__ import annotations

from textual.binding import Binding

NAMES = {"slash": "/", "question_mark": "?", "exclamation_mark": "!", "plus": "+", "minus": "-"}


def key(keys: str, action: str, name: str, about: str = "", footer: bool = False) -> Binding:
    """A binding: `name` is shown in the footer and the palette, `about` in the help."""
    return Binding(keys, action, name, show=footer, id=action, tooltip=about or name, key_display=NAMES.get(keys))
