"""What a suite asks of the manager for its runs: resources, priority, tags, trackers. None of it defines a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from core.run.errors import nearest
from s3tui.notify.targets import problem_of
from s3tui.runs.records.queue import Queue, Resources
from s3tui.suite.validate import read_table
from s3tui.system.cpu import usable_cores
from s3tui.text.problems import Key, Problems
from s3tui.text.toml_types import Bytes, Natural, Positive, Table, Whole, fault, table_like
from s3tui.tracking.registry import TRACKERS

RETRIES = 2
NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._=,+-]{1,200}")
NAME_RULE = "a name has letters, digits and ._=,+- only, starts with no dot and has no two dots in a row"


def _folder_name(value: Any) -> Any:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise fault(f"{value!r} cannot name a folder, {NAME_RULE}")
    return value


def _folder(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise fault("should be the path of a folder, in quotes")
    return value


def _words(value: Any) -> Any:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(
        isinstance(word, str) and re.fullmatch(r"[\w.+-]+", word) for word in words
    ):
        raise fault('should be a list of words, as in ["pilot", "cb"]')
    return tuple(words)


def _names(value: Any) -> Any:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise fault('should be a list of trackers, as in ["tensorboard"]')
    return tuple(dict.fromkeys(names))


def _tracker(name: str) -> str:
    if name not in TRACKERS:
        raise fault(f"no tracker is called {name!r}, {nearest(name, TRACKERS)}")
    return name


def _targets(value: Any) -> Any:
    targets = (value,) if isinstance(value, str) else value
    if not isinstance(targets, (list, tuple)) or not all(isinstance(target, str) for target in targets):
        raise fault('should be a list of whom to notify, as in ["desktop", "bell", "https://HOST/PATH"]')
    for problem in filter(None, map(problem_of, targets)):
        raise fault(problem)
    return tuple(dict.fromkeys(targets))


class ResourceSettings(Table):
    """What a run needs of the machine."""

    gpus: Natural | None = None
    memory: Bytes | None = None


class QueueSettings(Table):
    """Keys of `[defaults]` and of experiments that do not define the run."""

    resources: Annotated[ResourceSettings, table_like('{ gpus = 1, memory = "20GB" }')] = ResourceSettings()
    priority: Whole = 0
    tags: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    log_to: Annotated[tuple[Annotated[str, AfterValidator(_tracker)], ...], BeforeValidator(_names)] = ()


class SuiteSettings(Table):
    """The `[suite]` table. `name` is the file's by default; threads default to up to four cores."""

    name: Annotated[str, BeforeValidator(_folder_name)] = ""
    workspace: Annotated[str, BeforeValidator(_folder)] = "runs"
    threads: Positive = Field(default_factory=lambda: min(4, usable_cores()))
    retries: Natural = RETRIES
    per_gpu: Positive = 1
    use_busy_gpus: bool = False
    notify: Annotated[tuple[str, ...], BeforeValidator(_targets)] = ()


KEYS = tuple(QueueSettings.model_fields)


def queue(table: Mapping[str, Any], key: Key, suite: SuiteSettings, problems: Problems) -> Queue:
    """The queue entry of the runs of an experiment, from its own keys over those of the defaults."""
    wanted = read_table(QueueSettings, table, key, problems)
    return Queue(
        priority=wanted.priority,
        retries=suite.retries,
        tags=wanted.tags,
        log_to=wanted.log_to,
        resources=Resources(
            threads=suite.threads,
            gpus=wanted.resources.gpus,
            memory=wanted.resources.memory,
            per_gpu=suite.per_gpu,
            use_busy_gpus=suite.use_busy_gpus,
        ),
    )
