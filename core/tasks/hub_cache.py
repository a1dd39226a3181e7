"""Says whether the data of a named task may be on this machine, without loading what reads them."""

from __future__ import annotations

import os
from pathlib import Path

from core.run.tasks import Entry


def is_here(entry: Entry) -> bool:
    """Whether something of a task's data set on the hub is in a cache of this machine; datasets is not loaded."""
    from huggingface_hub.constants import HF_HOME, HF_HUB_CACHE

    repository, _ = entry.hub
    built = os.environ.get("HF_DATASETS_CACHE") or Path(HF_HOME, "datasets")
    place = Path(HF_HUB_CACHE, f"datasets--{repository.replace('/', '--')}")
    return place.is_dir() or Path(built, repository.replace("/", "___")).is_dir()
