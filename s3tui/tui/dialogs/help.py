"""The help dialog: the keys of the screen below, from its bindings, by task."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from s3tui.tui.support.keys import TASKS, task_of


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
        """A line for each action, under its task."""
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
        tasks = self._actions()
        for task in TASKS:
            if task in tasks:
                table.add_row(Text(""), Text(task, "bold underline"))
                for keys, about in tasks[task].values():
                    table.add_row(Text(" ".join(keys)), Text(about))
        return table

    def _actions(self) -> dict[str, dict[str, tuple[list[str], str]]]:
        """For each task its actions, with their keys and what they do."""
        tasks: dict[str, dict[str, tuple[list[str], str]]] = {}
        for binding in (active.binding for active in self._of.active_bindings.values()):
            if (task := task_of(binding)) in TASKS:
                rows = tasks.setdefault(task, {})
                keys, _ = rows.setdefault(binding.action, ([], binding.tooltip or binding.description))
                keys.append(self.app.get_key_display(binding))
        return tasks
