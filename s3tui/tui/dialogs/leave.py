"""Asks what becomes of live and queued runs when the app ends."""

from __future__ import annotations

from s3tui.tui.dialogs.question import Choose


class Leave(Choose):
    """Leave them, stop them, cancel them, or stay."""

    def __init__(self, running: int, waiting: int) -> None:
        answers = (
            ("leave", "l", "leave them running in the background"),
            ("stop", "s", "stop them with a checkpoint; resume goes on from it"),
            ("cancel", "c", "cancel them"),
            ("", "", "stay here"),
        )
        super().__init__("Quit", answers, f"{running} running, {waiting} waiting")
