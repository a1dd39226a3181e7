"""The app in browsers: who may connect, what they may do, and that closing one stops nothing."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from every_command import call
from processes import DEADLINE, STAND_IN, is_alive, wait_until
from textual.screen import ModalScreen

from s3tui.runs.workspace import read_run
from s3tui.scheduling.dispatcher import Settings
from s3tui.tui.app import S3App
from s3tui.tui.dialogs.ask_seat import AskSeat
from s3tui.tui.support.seat import Seat
from s3tui.web.served import READ_ONLY

CHANGES = ("s", "u", "r", "x", "p", "P", "d", "S", "D")  # keys of the runs that change something
NO_SHELL = "there is no shell in a browser"


def pages():
    """The module of the web server, where its package is installed."""
    pytest.importorskip("textual_serve")
    from s3tui.web import server

    return server


def children_of(pid):
    """The processes that a process has started."""
    lines = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True, check=False)
    return [int(line) for line in lines.stdout.split()]


class Page:
    """A browser's connection: what it types, and what it is shown."""

    def __init__(self, websocket):
        self.websocket, self.shown = websocket, b""

    async def type(self, text):
        await self.websocket.send_json(["stdin", text])

    async def until(self, text):
        while text.encode() not in re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", self.shown):
            message = await asyncio.wait_for(self.websocket.receive(), DEADLINE)
            assert isinstance(message.data, bytes), (message, self.shown[-2000:])
            self.shown += message.data


async def test_two_browsers_watch_and_closing_one_stops_nothing(script, tmp_path):
    pages()
    import aiohttp

    worker = script.living("first/goes-on").process
    command = [sys.executable, "-m", "s3tui", "serve", str(script.workspace.path), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        address = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        assert "read-only; Ctrl-C ends it, and no run" in server.stderr.readline()
        async with aiohttp.ClientSession() as browser:
            async with browser.get(address) as index:
                socket = re.search(r"ws://[^\"]+", await index.text())[0]
            one, other = [Page(await browser.ws_connect(f"{socket}?width=120&height=40")) for _ in range(2)]
            await asyncio.gather(*(page.until("goes-on") for page in (one, other)))  # who does not read is cut off
            first, second = wait_until(lambda: len(found := children_of(server.pid)) == 2 and found)
            await one.websocket.close()
            wait_until(lambda: not (is_alive(first) and is_alive(second)))
            script.advance("first/goes-on", 20)
            await other.until("32/40")
            await other.type("S")
            await other.until(READ_ONLY)
            server.send_signal(signal.SIGTERM)
            await other.websocket.close()
        assert server.wait(DEADLINE) == 0
        wait_until(lambda: not is_alive(first) and not is_alive(second))
        assert script.workspace.dispatcher() is None
        assert read_run(script.workspace.run("first/goes-on"), "first/goes-on").status.name in ("running", "quiet")
        assert worker.exists()
    finally:
        server.kill()
        server.communicate()


async def test_without_the_token_and_from_other_sites_everything_is_refused(script):
    server = pages()
    from aiohttp.test_utils import TestClient, TestServer

    secret = server.AppServer(script.workspace, True, "s3cret", None)
    async with TestClient(TestServer(await secret.application())) as client:
        for path in ("/", "/ws", "/app/", "/static/js/textual.js", "/s3cre/", "/s3cret/nothing", "/download/x"):
            refused = await client.get(path)
            assert (refused.status, await refused.text()) == (403, server.REFUSED), path
        page = await client.get("/s3cret/", headers={"Host": "far.example:99"})
        assert page.status == 200
        assert "ws://far.example:99/s3cret/ws" in await page.text(), "also through a tunnel"
        assert (await client.get("/s3cret/static/js/textual.js")).status == 200
        for path in ("/s3cret/", "/s3cret/ws"):
            assert (await client.get(path, headers={"Origin": "http://evil.example"})).status == 403


async def test_on_this_machine_only_its_own_names_are_answered(script):
    server = pages()
    from aiohttp.test_utils import TestClient, TestServer

    local = server.AppServer(script.workspace, False, "", server.LOOPBACK)
    async with TestClient(TestServer(await local.application())) as client:
        page = await client.get("/")
        assert (page.status, page.url.path) == (200, "/app/")
        for name, status in (("localhost:8000", 200), ("[::1]:8000", 200), ("evil.example", 403)):
            assert (await client.get("/app/", headers={"Host": name})).status == status, name
    assert "--allow-changes" not in server.command_of(script.workspace, False)
    assert [server.is_loopback(host) for host in ("localhost", "127.0.0.2", "::1")] == [True] * 3
    assert not any(server.is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "host.example"))


async def test_every_key_that_changes_something_is_off_in_the_read_only_app(script, as_driver, monkeypatch):
    names = ("first/waits", "first/stopped")
    script.queued(names[0])
    script.queued(names[1], wanted="held")
    script.finished("first/done")
    monkeypatch.setattr(S3App, "is_web", True)
    given = {}
    monkeypatch.setattr(S3App, "deliver_binary", lambda _, data, save_filename: given.update({save_filename: data}))
    before = files(script)
    async with as_driver(seat=Seat.LEFT, read_only=READ_ONLY, detached=True) as app:
        await app.press("a")
        for key in (*CHANGES, "exclamation_mark"):
            app.app.clear_notifications()
            await app.press(key)
            assert not isinstance(app.app.screen, ModalScreen), f"{key} asks before it refuses"
            said = NO_SHELL if key == "exclamation_mark" else READ_ONLY
            await app.until(lambda said=said: any(note.message == said for note in app.app._notifications))
        await app.press("e", "c")
        await app.until(lambda: "runs-runs.csv" in given or given)
    assert b"first/done" in next(iter(given.values())).read(), "the browser downloads what is exported"
    assert files(script) == before


def files(script):
    """All files of a workspace with their content."""
    return {path: path.read_bytes() for path in sorted(script.workspace.path.rglob("*")) if path.is_file()}


async def test_what_is_started_in_a_browser_goes_on_when_it_is_closed(script, as_driver):
    run = script.queued("first/waits", model="until-told")
    async with as_driver(detached=True) as app:
        await app.until(lambda: isinstance(app.app.screen, AskSeat))
        await app.press("enter")
        who = await app.until(script.workspace.dispatcher)
        assert who["pid"] != os.getpid(), "it is not the app that dispatches"
        await app.until(lambda: read_run(run, "first/waits").status.name == "running")
    assert is_alive(who["pid"])
    (run.path / "go").touch()
    wait_until(lambda: read_run(run, "first/waits").status.name == "finished")
    wait_until(lambda: not is_alive(who["pid"]))


@pytest.fixture
def as_driver(script, driven):
    """Open the app as a page of the web server does."""
    return lambda **options: driven(S3App(script.workspace, Settings(STAND_IN, 5.0, 0.1), **options))


def test_what_is_missing_is_one_line(script, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    monkeypatch.delitem(sys.modules, "s3tui.web.server", raising=False)
    assert call("serve", str(script.workspace.path)) == 2
    assert "is not installed: pip install 's3tui[web]'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(script, capsys):
    pages()
    script.queued("first/a")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert call("serve", str(script.workspace.path), "--port", str(taken.getsockname()[1])) == 2
    assert "cannot be listened on: Address already in use: name another with --port" in capsys.readouterr().err
