"""The app and the terminal that it runs in."""

import os
import pty
import re
import signal
import sys

import pytest
from processes import kill, wait_until

from s3tui.tui.support.terminal import only_if_there

OPEN = (sys.executable, "-m", "s3tui", "open", "--watch")


def opened_at_a_terminal(script, until):
    """Open the app in a terminal of its own; its process, the other end, and what it has drawn up to some bytes."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*OPEN, str(script.workspace.path)])
    drawn = bytearray()
    while until not in drawn:
        drawn += os.read(terminal, 2**16)
    return pid, terminal, bytes(drawn)


def test_the_app_ends_with_its_terminal(script, monkeypatch):
    script.finished("first/done")
    monkeypatch.setenv("TERM", "xterm-256color")
    pid, terminal, _ = opened_at_a_terminal(script, b"finished")
    try:
        os.close(terminal)  # the kernel sends SIGHUP, then SIGCONT
        assert wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0]) == pid
    finally:
        kill(pid, signal.SIGKILL)


def test_what_failed_is_red_in_a_terminal_of_16_colours(script, monkeypatch):
    script.failed("first/bad")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)
    pid, terminal, drawn = opened_at_a_terminal(script, "✗".encode())
    try:
        *_, colours = re.findall(r"\x1b\[([0-9;]*)m", drawn.decode(errors="replace").partition("✗")[0])
        assert {"31", "91"} & set(colours.split(";")), f"red or bright red, not {colours}"
    finally:
        kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)


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
