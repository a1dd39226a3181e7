"""The app and the terminal that it runs in."""

import contextlib
import os
import pty
import re
import signal
import sys
from collections.abc import Iterator

import pytest
from processes import kill, wait_until

from s3tui.tui.support.terminal import only_if_there

OPEN = (sys.executable, "-m", "s3tui", "open", "--watch")


@contextlib.contextmanager
def in_terminal(script) -> Iterator[tuple[int, int]]:
    """The app in a terminal of its own: its process, and the other end of the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*OPEN, str(script.workspace.path)])
    try:
        yield pid, terminal
    finally:
        kill(pid, signal.SIGKILL)


def drawn(terminal, text):
    """All that is drawn until this text is."""
    seen = bytearray()
    while text.encode() not in seen:
        seen += os.read(terminal, 2**16)
    return seen.decode(errors="replace")


def test_the_app_ends_with_its_terminal(script, monkeypatch):
    script.finished("first/done")
    monkeypatch.setenv("TERM", "xterm-256color")
    with in_terminal(script) as (pid, terminal):
        drawn(terminal, "finished")
        os.close(terminal)  # the kernel sends SIGHUP, then SIGCONT
        assert wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0]) == pid


@pytest.mark.parametrize(("kind", "bad", "good"), [("xterm", "✗", "✓"), ("screen", "✗", "✓"), ("linux", "x", r"\+")])
def test_with_16_colours_a_failure_is_red_and_what_is_finished_is_green(script, monkeypatch, kind, bad, good):
    script.finished("first/done")
    script.failed("first/broken")
    monkeypatch.setenv("TERM", kind)
    monkeypatch.delenv("COLORTERM")
    with in_terminal(script) as (_, terminal):
        seen = drawn(terminal, "broken")
        os.close(terminal)
    assert re.search(rf"\x1b\[([\d;]*;)?91(;[\d;]*)?m{bad}", seen)
    assert re.search(rf"\x1b\[([\d;]*;)?92(;[\d;]*)?m{good}", seen)


async def test_on_the_linux_console_every_screen_is_drawn_in_the_glyphs_of_its_fonts(script, opened, monkeypatch):
    monkeypatch.setenv("TERM", "linux")
    script.finished("first/a-name-that-is-far-too-long-for-the-column-in-which-it-is-shown")
    script.failed("first/broken")
    async with opened(size=(80, 24)) as app:
        for keys in ((), ("?",), ("escape", "C"), ("escape", "G", "enter"), *"234567", ("escape", "a", "c"), *"234"):
            await app.press(*keys)
            await app.settle()
            app.text.encode("cp437")


@pytest.mark.parametrize(("there", "heard"), [(True, [signal.SIGUSR2]), (False, [])])
def test_nothing_comes_back_to_a_terminal_that_is_gone(monkeypatch, there, heard):
    came, before = [], signal.getsignal(signal.SIGUSR2)
    monkeypatch.setattr(os, "isatty", lambda _: there)
    signal.signal(signal.SIGUSR2, lambda number, _: came.append(number))
    try:
        only_if_there(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert came == heard
