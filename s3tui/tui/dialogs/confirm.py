"""A yes/no dialog for actions that cannot be undone."""

from __future__ import annotations

from collections.abc import Callable

from textual.screen import Screen

from s3tui.tui.dialogs.question import Choose


def confirm(
    screen: Screen[None], title: str, question: str, yes: str, then: Callable[[], object], no: str = "leave it"
) -> None:
    """Show the dialog, and call `then` if the answer is yes; Enter, Escape and n mean no."""

    def answered(answer: str | None) -> None:
        if answer == "yes":
            then()

    answers = (("", "n", f"no, {no}"), ("yes", "y", f"yes, {yes}"))
    screen.app.push_screen(Choose(title, answers, question), answered)
