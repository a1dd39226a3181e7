"""Takes the pictures of docs/app.md from the app itself: `make screenshots`, after `make demo` has filled `runs`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from s3tui.runs.workspace import Workspace
from s3tui.tui.app import S3App
from s3tui.tui.screens.run import PANES
from s3tui.tui.support.seat import Seat

PICTURES = Path(__file__).with_name("img")
SIZE = (120, 36)
SECONDS = 30.0
SEARCHED = "default/searched"
PLAIN = ("Log", "Config", "Files")  # tabs of text alone
# The name of each picture, and the keys that lead to it from the table of runs with the cursor on the search.
VIEWS: dict[str, tuple[str, ...]] = {
    "runs": (),
    **{name.lower(): ("enter", str(number)) for number, name in enumerate(PANES, 1) if name not in PLAIN},
    "compare": ("a", "c"),
    "help": ("question_mark",),
}  # fmt: skip


async def picture(workspace: Workspace, name: str, keys: tuple[str, ...]) -> None:
    """Press the keys, wait until what they lead to is drawn, and write it down."""
    app = S3App(workspace, seat=Seat.LEFT)
    async with app.run_test(size=SIZE) as pilot:
        await _until(pilot, lambda: app.snapshot.loaded)
        await pilot.pause(0.3)
        app.screen.query_one("#runs").move_to(SEARCHED)  # type: ignore[attr-defined]
        await _until(pilot, lambda: SEARCHED in app.snapshot.details and app.snapshot.details[SEARCHED].loaded)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(1.0)
        await pilot.pause(1.5)
        (PICTURES / f"{name}.svg").write_text(app.export_screenshot(title="s3tui"), encoding="utf-8")


async def _until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the app did not get there; has `make demo` filled the workspace?")
        await pilot.pause(0.02)


def main(folder: Path) -> None:
    """Take all pictures of a workspace that holds the finished default suite."""
    # As in a terminal of today, whatever this one can do.
    os.environ |= {"COLORTERM": "truecolor", "TERM": "xterm-256color"}
    os.environ.pop("NO_COLOR", None)
    PICTURES.mkdir(exist_ok=True)
    for name, keys in VIEWS.items():
        asyncio.run(picture(Workspace(folder.resolve()), name, keys))
        print(PICTURES / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
