"""Printing of log lines to stderr, which the launcher redirects to `log.txt`."""

from __future__ import annotations

import contextlib
import sys


def log_line(text: str) -> None:
    """Print a line to stderr; errors, as on a full disk, are ignored."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
