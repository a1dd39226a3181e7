"""The help dialog: the keys of the screen below, from its bindings."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static


class Help(ModalScreen[None]):
    """The keys of another screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Back"),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._of = screen

    def compose(self) -> ComposeResult:
        """A line for each key."""
        with VerticalScroll(classes="question help") as box:
            box.border_title, box.border_subtitle = f"Keys: {self._of.title or 'here'}", "escape closes"
            yield Static(self._table())

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        rows: dict[str, tuple[list[str], str]] = {}
        bindings = [active.binding for active in self._of.active_bindings.values()]
        # Keys of this screen come first, those of any list, which have no id, last.
        for binding in sorted(bindings, key=lambda binding: binding.id is None):
            if not binding.description or binding.system:
                continue
            keys, _ = rows.setdefault(binding.action, ([], binding.tooltip or binding.description))
            shown = self.app.get_key_display(binding)
            if shown not in keys:
                keys.append(shown)
        for keys, about in rows.values():
            table.add_row(Text(" ".join(keys)), Text(about))
        return table
