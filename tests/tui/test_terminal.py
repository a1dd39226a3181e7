"""The app and the terminal that it runs in."""

import os
import pty
import signal
import sys

import pytest
from processes import kill, wait_until

from s3tui.tui.support.terminal import only_if_there

OPEN = (sys.executable, "-m", "s3tui", "open", "--watch")


def test_the_app_ends_with_its_terminal(script, monkeypatch):
    script.finished("first/done")
    monkeypatch.setenv("TERM", "xterm-256color")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*OPEN, str(script.workspace.path)])
    try:
        drawn = bytearray()
        while b"finished" not in drawn:
            drawn += os.read(terminal, 2**16)
        os.close(terminal)  # the kernel sends SIGHUP, then SIGCONT
        assert wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0]) == pid
    finally:
        kill(pid, signal.SIGKILL)


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
