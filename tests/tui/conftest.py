"""What the tests of the app share: scripted workspaces, and the app driven by its keys."""

import contextlib
import time

import pytest
from processes import DEADLINE, STAND_IN, nothing_left
from scripted import Script

from s3tui.scheduling.dispatcher import Settings
from s3tui.tui.app import S3App
from s3tui.tui.support.seat import Seat

SIZES = ((40, 10), (200, 60), (60, 17), (40, 10), (80, 24))  # a small and a large one, and from each to the other


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    """A terminal with colours, whatever the tests are run in."""
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_ANIMATIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def script(tmp_path):
    """A workspace to write runs into."""
    with nothing_left(tmp_path / "runs"):
        one = Script(tmp_path / "runs")
        try:
            yield one
        finally:
            one.close()


class Driver:
    """The app under the hands of a test."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def write(self, text):
        await self.press(*(_key(character) for character in text))

    async def until(self, condition):
        """The first true value of `condition()`; fails where it does not come in time."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            with contextlib.suppress(LookupError, AssertionError):
                value = condition()
                if value:
                    return value
            await self.pilot.pause(0.01)
        raise AssertionError(f"it did not happen in time; on the screen:\n{self.text}")

    async def settle(self):
        """Until nothing changes on the screen any more: what was asked for has come, and is drawn."""
        before, same = "", 0
        while same < 20:
            await self.pilot.pause(0.05)
            before, same = self.text, same + 1 if self.text == before else 0

    @property
    def text(self):
        """The screen as text."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        assert len(lines) == height, (width, height)
        return "\n".join(strip.text.rstrip() for strip in lines)

    async def fits(self):
        """At any size the part that has the keys is whole on the screen, with room for two lines, and not empty."""
        for size in SIZES:
            await self.pilot.resize_terminal(*size)
            await self.until(lambda size=size: self.app.size == size and self._shows_what_has_the_keys())

    def _shows_what_has_the_keys(self):
        focused = self.app.focused
        assert focused is not None
        region, clip = self.app.screen._compositor.visible_widgets[focused]
        assert region == region.intersection(clip).intersection(self.app.screen.region), "it sticks out of the screen"
        inside = focused.content_region
        assert inside.height >= 2, "it has no room"
        lines = self.text.splitlines()[inside.y : inside.bottom]
        assert self.text.splitlines()[-1].strip(), "the footer is not there"
        return any(line[inside.x : inside.right].strip() for line in lines)

    def shows(self, *texts):
        return all(text in self.text for text in texts)


def _key(character):
    names = {":": "colon", ">": "greater_than_sign", ".": "full_stop", "-": "minus", "/": "slash", " ": "space",
             "=": "equals_sign", "_": "underscore"}  # fmt: skip
    return names.get(character, character)


@pytest.fixture
def driven():
    """Run an app under the hands of a test."""

    @contextlib.asynccontextmanager
    async def drive(app, size=(120, 40)):
        app.animation_level = "none"
        async with app.run_test(size=size, notifications=True) as pilot:
            driver = Driver(app, pilot)
            await driver.until(lambda: app.snapshot.loaded)
            await pilot.pause()
            yield driver

    return drive


@pytest.fixture
def opened(script, driven):
    """Open the app on the scripted workspace; queued runs are played by the stand-in."""

    def open_app(size=(120, 40), workspace=None, seat=Seat.TAKEN, memory=None):
        settings = Settings(STAND_IN, grace=5.0, backoff=0.1)
        return driven(S3App(workspace or script.workspace, settings, seat, memory), size)

    return open_app
