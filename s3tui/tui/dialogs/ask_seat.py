"""The dialog on opening the app while runs are queued and nobody starts them."""

from __future__ import annotations

from s3tui.tui.dialogs.question import Choose

HERE, WATCH = "here", "watch"
BROKE_OFF = "Runs broke off, or a race goes on: some may start again."


class AskSeat(Choose):
    """Asks whether queued runs start on this machine."""

    def __init__(self, waiting: int) -> None:
        answers = (
            (HERE, "s", "start them here, as there is room"),
            (WATCH, "w", "only watch: they wait (D starts them later)"),
        )
        about = f"{_runs_wait(waiting)}, and nobody starts what waits."
        super().__init__("Queued runs", answers, about if waiting else BROKE_OFF)


def _runs_wait(waiting: int) -> str:
    return "1 run waits" if waiting == 1 else f"{waiting} runs wait"
