"""The app as a person sees it who opens `s3tui serve` in a real browser."""

import re
import signal
import subprocess
import sys

import chromium
import pytest
from processes import DEADLINE

from s3tui.runs.workspace import read_run
from s3tui.web.served import READ_ONLY

server = pytest.importorskip("s3tui.web.server")
pytestmark = pytest.mark.skipif(chromium.COMMAND is None, reason="there is no Chromium here")


@pytest.fixture
def address(script):
    """Where a server listens on all networks of this machine; it ends with the test."""
    command = [sys.executable, "-m", "s3tui", "serve", str(script.workspace.path), "--host", "0.0.0.0", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        printed = process.stdout.readline().strip()
        assert re.fullmatch(r"http://0\.0\.0\.0:\d+/[\w-]{43}/", printed)
        yield printed.replace("0.0.0.0", "127.0.0.1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.communicate()


async def test_two_people_look_on_in_their_browsers_and_disturb_nothing(script, address, tmp_path):
    script.living("first/goes-on")
    script.queued("first/waits")
    async with chromium.chromium(tmp_path / "profile") as browser:
        stranger = await browser.open(address.rsplit("/", 2)[0])
        await stranger.until(server.REFUSED)
        one, other = await browser.open(address), await browser.open(address)
        for page in (one, other):
            await page.until("goes-on", "waits", "read-only")
            await page.press("?")
            await page.until("Keys: runs")
            await page.press("q")
        await one.close()
        await other.press("S")
        await other.until(READ_ONLY)
        script.advance("first/goes-on", 20)
        await other.until("32/40")
        own = address.rsplit("/", 2)[0]
        assert [url for url in other.asked_for.values() if not url.startswith(own)] == [], "a page asks nobody else"
    assert read_run(script.workspace.run("first/goes-on"), "first/goes-on").status.name in ("running", "quiet")
    assert read_run(script.workspace.run("first/waits"), "first/waits").status.name == "queued"
    assert script.workspace.dispatcher() is None
