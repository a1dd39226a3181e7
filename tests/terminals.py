"""A terminal for programs under test: what they write is kept to the byte."""

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import termios
import time

ROWS, COLUMNS = 50, 150


def at_a_terminal(command, seconds, typed=b"", **options):
    """Run a program whose streams are a terminal, with something typed beforehand; its exit code and the bytes."""
    ours, theirs = os.openpty()
    try:
        _plain(theirs)
        os.write(ours, typed)
        child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, **options)
    finally:
        os.close(theirs)
    try:
        written = _all_of(ours, child, time.monotonic() + seconds)
        return child.wait(), written
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            child.kill()


def _plain(terminal):
    """Ends of lines stay as they are written, and what is typed is not shown."""
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))


def _all_of(terminal, child, deadline):
    """Read on until whoever has the terminal has let go of it; what is not read holds up the writer."""
    written = bytearray()
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            if child.poll() is not None:
                return bytes(written)
            continue
        try:
            written += os.read(terminal, 2**16)
        except OSError:  # nobody has it any more
            return bytes(written)
    child.kill()
    raise AssertionError(f"it did not end in time; it wrote {bytes(written[-6000:])!r}")
