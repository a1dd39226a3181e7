"""What a suite asks of the manager for its runs: resources, priority, tags, trackers. None of it defines a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.run.errors import nearest
from s3tui.runs.records.queue import Queue, Resources
from s3tui.system.cpu import usable_cores
from s3tui.text.problems import Key, Problems
from s3tui.tracking.registry import TRACKERS

KEYS = ("resources", "priority", "tags", "log_to")
SUITE_KEYS = ("threads", "retries", "per_gpu", "use_busy_gpus")
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
RETRIES = 2
MOST = 10**9  # of any whole number here
MOST_BYTES = 10**15


@dataclass(frozen=True)
class Shared:
    """What `[suite]` says for all runs."""

    threads: int
    retries: int
    per_gpu: int
    use_busy_gpus: bool


def shared(table: dict[str, Any], problems: Problems) -> Shared:
    """The manager's keys of `[suite]`; threads default to up to four cores."""
    return Shared(
        threads=whole(table, ("suite",), "threads", min(4, usable_cores()), 1, problems),
        retries=whole(table, ("suite",), "retries", RETRIES, 0, problems),
        per_gpu=whole(table, ("suite",), "per_gpu", 1, 1, problems),
        use_busy_gpus=_flag(table, ("suite",), "use_busy_gpus", problems),
    )


def queue(table: dict[str, Any], key: Key, suite: Shared, problems: Problems) -> Queue:
    """What the settings of an experiment, its defaults under it, want of the queue; faults are noted."""
    resources = table.get("resources", {})
    if not isinstance(resources, dict):
        problems.add((*key, "resources"), 'should be a table, as in { gpus = 1, memory = "20GB" }')
        resources = {}
    problems.unknown_keys((*key, "resources"), resources, ("gpus", "memory"))
    gpus = whole(resources, (*key, "resources"), "gpus", -1, 0, problems)
    return Queue(
        priority=whole(table, key, "priority", 0, None, problems),
        retries=suite.retries,
        tags=_tags(table.get("tags", []), key, problems),
        log_to=_trackers(table.get("log_to", []), (*key, "log_to"), problems),
        resources=Resources(
            threads=suite.threads,
            gpus=None if gpus < 0 else gpus,
            memory=memory_bytes(resources.get("memory"), (*key, "resources", "memory"), problems),
            per_gpu=suite.per_gpu,
            use_busy_gpus=suite.use_busy_gpus,
        ),
    )


def whole(table: Mapping[str, Any], key: Key, name: str, default: int, least: int | None, problems: Problems) -> int:
    """A whole number of a table, or the default; one that is none, too small or too large is noted."""
    value = table.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and name in table and value < least):
        problems.add((*key, name), "should be a whole number" + ("" if least is None else f" of {least} or more"))
        return default
    if abs(value) > MOST:
        problems.add((*key, name), f"should be a whole number of at most {MOST:,}")
        return default
    return value


def _flag(table: dict[str, Any], key: Key, name: str, problems: Problems) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        problems.add((*key, name), "should be true or false")
    return value is True


def _tags(value: Any, key: Key, problems: Problems) -> tuple[str, ...]:
    tags = [value] if isinstance(value, str) else value
    if not isinstance(tags, list) or not all(isinstance(tag, str) and re.fullmatch(r"[\w.+-]+", tag) for tag in tags):
        problems.add((*key, "tags"), 'should be a list of words, as in ["pilot", "cb"]')
        return ()
    return tuple(tags)


def _trackers(value: Any, key: Key, problems: Problems) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        problems.add(key, 'should be a list of trackers, as in ["tensorboard"]')
        return ()
    for name in names:
        if name not in TRACKERS:
            problems.add(key, f"no tracker is called {name!r}, {nearest(name, TRACKERS)}")
    return tuple(dict.fromkeys(names))


def memory_bytes(value: Any, key: Key, problems: Problems) -> int | None:
    """A size like "20GB" in bytes; what is none is noted."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MGT]i?B)", value, re.IGNORECASE) if isinstance(value, str) else None
    if match is None:
        problems.add(key, 'should be a size in quotes, as in "20GB"')
        return None
    size = float(match[1]) * UNITS[match[2].upper()]
    if size > MOST_BYTES:
        problems.add(key, f"should be at most {MOST_BYTES // UNITS['TB']:,}TB")
        return None
    return int(size)
