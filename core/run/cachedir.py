"""The folder of what can be made again: tokenised data, unpacked models, sizes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`s3tui` under $XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "s3tui"
