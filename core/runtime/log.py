"""What a worker prints, which the launcher keeps in `log.txt`."""

from __future__ import annotations

import contextlib
import sys


def tell(text: str) -> None:
    """Print a line to stderr; where even that fails, as on a full disk, the run goes on without it."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
