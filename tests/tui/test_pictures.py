"""The main screens as pictures at three sizes: `pytest tests/tui/test_pictures.py --snapshot-update` renews them."""

import os

import pytest
from syrupy.extensions.image import SVGImageSnapshotExtension

from s3tui.tui import feed

SIZES = [(80, 24), (120, 40), (200, 60)]
VIEWS = {"runs": (), "loss": ("enter",), "gates": ("enter", "2"), "structure": ("enter", "4"), "compare": ("a", "c")}


@pytest.fixture
def still(script, tmp_path, monkeypatch):
    """A workspace in which nothing depends on the machine or on the hour."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.5, 0.5))
    monkeypatch.setattr(feed, "usable_cores", lambda: 4)
    monkeypatch.setattr(feed, "visible_gpus", list)
    script.workspace.pause.touch()
    for seed, score in enumerate((0.70, 0.72)):
        script.finished(f"first/searched/seed={seed}", seed=seed, score=score)
    script.finished("first/by-chance", method="random", score=0.65)
    script.failed("first/broken")
    script.queued("first/waits")
    return script


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_screen_looks_as_it_did(still, opened, size, view, snapshot):
    async with opened(size=size) as app:
        grid = app.app.screen.grid
        grid.move_to("first/searched/seed=0")
        await app.until(lambda: app.app.snapshot.details["first/searched/seed=0"].loaded)
        searched = [line for line in app.app.snapshot.lines.values() if line.method == "s3" and line.score]
        await app.until(lambda: all(app.app.snapshot.lines[line.name].verdict for line in searched))
        await app.press(*VIEWS[view])
        await app.settle()
        svg = app.app.export_screenshot(title="s3tui")
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
