"""Dialogs for choosing one answer, choosing several, or entering a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, SelectionList, Static
from textual.widgets.option_list import Option
from textual.widgets.selection_list import Selection

from s3tui.text.sanitize import clean
from s3tui.tui.support.palette import plain


class Choose(ModalScreen[str]):
    """Choose one of several answers, by its key or with the arrows and Enter. Escape returns None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss", "Back")]

    def __init__(self, title: str, answers: Sequence[tuple[str, str, str]], about: str = "") -> None:
        """`answers` are (what is returned, the key or an empty text, what is shown)."""
        super().__init__()
        self._title, self._answers, self._about = title, answers, about
        for answer, key, _ in answers:
            if key:
                self._bindings.bind(key, f"answer({answer!r})", show=False)

    def compose(self) -> ComposeResult:
        """The question above its answers."""
        with Vertical(classes="question") as box:
            box.border_title = plain(self._title)
            if self._about:
                yield Static(Text(clean(self._about)), classes="about")
            yield OptionList(
                *(Option(_answer(key, shown), id=f"a{i}") for i, (_, key, shown) in enumerate(self._answers))
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the answer."""
        self.dismiss(self._answers[event.option_index][0])

    def action_answer(self, answer: str) -> None:
        """Take the answer of a key."""
        self.dismiss(answer)


def _answer(key: str, shown: str) -> Text:
    return Text.assemble((f"{key}  " if key else "", "bold"), clean(shown))


class ChooseSome(ModalScreen["list[str]"]):
    """Choose several answers: Space marks, Enter accepts, Escape cancels."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back"),
        Binding("enter", "take", "Take", priority=True),
    ]

    def __init__(self, title: str, answers: Sequence[tuple[str, str, bool]]) -> None:
        """`answers` are (what is returned, what is shown, whether it is marked at first)."""
        super().__init__()
        self._title, self._answers = title, answers

    def compose(self) -> ComposeResult:
        """The list in its box."""
        with Vertical(classes="question") as box:
            box.border_title, box.border_subtitle = plain(self._title), "space marks, enter takes"
            yield SelectionList[str](
                *(Selection(Text(clean(shown)), answer, on) for answer, shown, on in self._answers)
            )

    def action_take(self) -> None:
        """Take what is marked, in the order of the list."""
        marked = set(self.query_one(SelectionList).selected)
        self.dismiss([answer for answer, _, _ in self._answers if answer in marked])


class Ask(ModalScreen[str]):
    """Enter a text; Escape returns None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back")]

    def __init__(self, title: str, value: str = "", about: str = "", **options: Any) -> None:
        super().__init__()
        self._title, self._value, self._about, self._options = title, value, about, options

    def compose(self) -> ComposeResult:
        """The input line."""
        with Vertical(classes="question") as box:
            box.border_title = plain(self._title)
            if self._about:
                yield Static(Text(clean(self._about)), classes="about")
            yield Input(self._value, **self._options)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept the text if it is valid."""
        if event.validation_result is None or event.validation_result.is_valid:
            self.dismiss(event.value)
