"""A real browser for tests: Chromium without a window, driven through its own DevTools protocol."""

import asyncio
import contextlib
import itertools
import re
import shutil
import subprocess
import time

from processes import DEADLINE

COMMAND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# The first two are for containers, where we may be root and have little shared memory.
OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage", "--headless", "--remote-debugging-port=0", "--no-first-run",
           "--disable-background-networking", "--disable-component-update")  # fmt: skip
# A page keeps its terminal to itself; it is the only object of a page that has a "websocket_url".
KEEP_TERMINAL = """Object.defineProperty(Object.prototype, "websocket_url", {set(url) {
    Object.defineProperty(this, "websocket_url", {value: url});
    window.owner = this;
}})"""
TEXT = """(() => {
    const lines = window.owner?.terminal?.buffer.active;
    if (!lines) return document.body?.innerText ?? "";
    return Array.from({length: lines.length}, (_, y) => lines.getLine(y).translateToString(true)).join("\\n");
})()"""


class Page:
    """A window of a profile of its own, and the addresses that it has asked for, by the number of the request."""

    def __init__(self, ask):
        self._ask, self.asked_for = ask, {}

    async def text(self):
        """What the terminal in the page shows, or else the page."""
        return (await self._ask("Runtime.evaluate", expression=TEXT, returnByValue=True))["result"]["value"]

    async def until(self, *texts):
        """Until all this is shown."""
        deadline = time.monotonic() + DEADLINE
        shown = await self.text()
        while not all(text in shown for text in texts):
            assert time.monotonic() < deadline, f"{texts} are not shown in\n{shown}"
            await asyncio.sleep(0.02)
            shown = await self.text()

    async def press(self, key):
        """Press a key that writes a character."""
        await self._ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self._ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def close(self):
        await self._ask("Page.close")


class Chromium:
    """What `chromium()` gives."""

    def __init__(self, socket):
        self._socket, self._number, self._pages = socket, itertools.count(1), {}

    async def ask(self, method, session="", **parameters):
        """Ask for something, of a page where a session is given; the answer."""
        number = next(self._number)
        where = {"sessionId": session} if session else {}
        await self._socket.send_json({"id": number, "method": method, "params": parameters} | where)
        while (said := await self._socket.receive_json(timeout=DEADLINE)).get("id") != number:
            self._note(said)
        assert "result" in said, said
        return said["result"]

    def _note(self, event):
        about = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            self._pages[event["sessionId"]].asked_for[about["requestId"]] = about["request"]["url"]
        elif event["method"] == "Network.loadingFailed" and about.get("blockedReason"):
            del self._pages[event["sessionId"]].asked_for[about["requestId"]]  # the page itself forbids it

    async def open(self, address):
        """Open an address as somebody does whose browser knows nothing yet."""
        profile = (await self.ask("Target.createBrowserContext"))["browserContextId"]
        place = {"browserContextId": profile, "width": 1280, "height": 800}
        target = (await self.ask("Target.createTarget", url="about:blank", **place))["targetId"]
        session = (await self.ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(lambda method, **more: self.ask(method, session, **more))
        for domain in ("Page", "Network"):
            await self.ask(f"{domain}.enable", session)
        await self.ask("Page.addScriptToEvaluateOnNewDocument", session, source=KEEP_TERMINAL)
        await self.ask("Page.navigate", session, url=address)
        return page


@contextlib.asynccontextmanager
async def chromium(folder):
    """Chromium, which ends with the block."""
    import aiohttp

    command = [COMMAND, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = next(found[0] for line in process.stderr if (found := re.search(r"ws://\S+", line)))
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            yield Chromium(socket)
    finally:
        process.kill()
        process.communicate()
