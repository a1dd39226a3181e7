"""Asks whether something that cannot be undone is to be done."""

from __future__ import annotations

from collections.abc import Callable

from textual.screen import Screen

from s3tui.tui.dialogs.question import Choose


def confirm(
    screen: Screen[None], title: str, question: str, yes: str, then: Callable[[], object], no: str = "leave it"
) -> None:
    """Ask over a screen, and call `then` on a yes; Enter alone, Escape and n are a no."""

    def answered(answer: str | None) -> None:
        if answer == "yes":
            then()

    answers = (("", "n", f"no, {no}"), ("yes", "y", f"yes, {yes}"))
    screen.app.push_screen(Choose(title, answers, question), answered)
