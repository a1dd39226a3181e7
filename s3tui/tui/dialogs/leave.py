"""The dialog on quitting the app while runs are running or queued."""

from __future__ import annotations

from s3tui.tui.dialogs.question import Choose


class Leave(Choose):
    """Asks whether to leave, stop or cancel the runs, or to stay."""

    def __init__(self, running: int, waiting: int) -> None:
        answers = (
            ("leave", "l", "leave them running in the background"),
            ("stop", "s", "stop them with a checkpoint, to be resumed later"),
            ("cancel", "c", "cancel them"),
            ("", "", "stay here"),
        )
        super().__init__("Quit", answers, f"{running} running, {waiting} waiting")
