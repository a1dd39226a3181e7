"""Reads the `[launcher]` table of a suite and of its experiments; every fault is noted at its key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from s3tui.runs.records.launch import KINDS, WARN_SECONDS, Launch
from s3tui.suite.queue_settings import memory_bytes, whole
from s3tui.text.problems import Key, Problems

_TEXTS = ("partition", "account", "qos", "gres", "constraint", "exclude")
_TIME = re.compile(r"[0-9]{1,7}|[0-9]{1,7}:\d\d|[0-9]{1,7}:\d\d:\d\d|[0-9]{1,5}-[0-9]{1,2}(:\d\d){0,2}", re.ASCII)
_TIME_RULE = 'should be a time as Slurm writes it, in quotes: "90" (minutes), "12:00:00" or "2-00:00:00" (days)'
# What makes an array of runs of ours; another value would lose track of them.
_OURS = frozenset(
    {"array", "job-name", "output", "error", "input", "open-mode", "signal", "requeue", "no-requeue", "chdir", "nice",
     "ntasks", "nodes", "wrap", "test-only", "parsable", "wait"}
)  # fmt: skip
_TWICE = {
    "partition": "partition", "account": "account", "qos": "qos", "gres": "gres", "constraint": "constraint",
    "exclude": "exclude", "time": "time", "cpus-per-task": "cpus", "mem": "memory",
}  # fmt: skip
KEYS = ("kind", *_TEXTS, "time", "cpus", "memory", "parallel", "warn_seconds", "setup", "sbatch")


def launch(table: Mapping[str, Any], key: Key, problems: Problems) -> Launch:
    """What a table asks for. Whoever writes one may mean a cluster: without `kind` it is "auto"."""
    problems.unknown_keys(key, table, KEYS)
    table = dict(table)
    kind = table.get("kind", "auto" if table else "local")
    if kind not in KINDS:
        problems.add((*key, "kind"), f"should be one of {', '.join(KINDS)}")
        kind = "local"
    texts = {name: _text(table, key, name, problems) for name in _TEXTS}
    time = _time(table, key, problems)
    warn = whole(table, key, "warn_seconds", WARN_SECONDS, 1, problems)
    if time and seconds_of(time) <= warn:
        problems.add((*key, "time"), f"should be longer than warn_seconds, which is {warn}")
    memory = memory_bytes(table.get("memory"), (*key, "memory"), problems)
    return Launch(
        kind=kind,
        **texts,
        time=time,
        cpus=whole(table, key, "cpus", 0, 1, problems),
        memory=memory or 0,
        parallel=whole(table, key, "parallel", 0, 1, problems),
        warn_seconds=warn,
        setup=_setup(table.get("setup", []), (*key, "setup"), problems),
        sbatch=_sbatch(table.get("sbatch", {}), (*key, "sbatch"), problems),
    )


def _text(table: Mapping[str, Any], key: Key, name: str, problems: Problems) -> str:
    return _checked(table, key, name, lambda text: bool(text) and "\n" not in text, "should be a text", problems)


def _time(table: Mapping[str, Any], key: Key, problems: Problems) -> str:
    return _checked(table, key, "time", lambda text: bool(_TIME.fullmatch(text)), _TIME_RULE, problems)


def seconds_of(time: str) -> int:
    """How long a time limit of Slurm's is: minutes where there is one number, and from hours on behind days."""
    days, dash, clock = time.rpartition("-")
    parts = list(map(int, clock.split(":")))
    if dash or len(parts) == 3:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    else:
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _checked(
    table: Mapping[str, Any], key: Key, name: str, is_right: Callable[[str], bool], rule: str, problems: Problems
) -> str:
    value = table.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_right(value):
        problems.add((*key, name), rule)
        return ""
    return value


def _setup(value: Any, key: Key, problems: Problems) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        problems.add(key, 'should be a list of lines, as in ["module load cuda", "source venv/bin/activate"]')
        return ()
    return tuple(value)


def _sbatch(value: Any, key: Key, problems: Problems) -> tuple[tuple[str, str | int | bool], ...]:
    if not isinstance(value, dict):
        problems.add(key, 'should be a table of options, as in { mail-type = "END" }')
        return ()
    for name, option in value.items():
        if name in _OURS:
            problems.add((*key, name), "is set by s3tui itself")
        elif name in _TWICE:
            problems.add((*key, name), f"is the launcher's own key {_TWICE[name]}")
        elif not re.fullmatch(r"[a-z][a-z-]+", name):
            problems.add((*key, name), "is no long option of sbatch, as in mail-type")
        elif not (option is True or (isinstance(option, int) and option is not False) or _is_line(option)):
            problems.add((*key, name), "should be a text, a whole number or true")
    return tuple(value.items())


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and "\n" not in value
