"""The dialog on opening the app while runs are queued and nobody starts them."""

from __future__ import annotations

from s3tui.tui.dialogs.question import Choose

HERE, WATCH = "here", "watch"


class AskSeat(Choose):
    """Asks whether queued runs start on this machine."""

    def __init__(self, waiting: int) -> None:
        answers = (
            (HERE, "s", "start them here, one after the other as there is room"),
            (WATCH, "w", "only watch: they wait (D starts them later)"),
        )
        wait = "1 run waits" if waiting == 1 else f"{waiting} runs wait"
        super().__init__("Queued runs", answers, f"{wait}, and nobody starts what waits.")
