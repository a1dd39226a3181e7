"""Runs as lines of a list: what of them is shown, filtered and sorted."""

from __future__ import annotations

import fnmatch
import operator
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from core.run.errors import SpecError, nearest
from s3tui.runstate import RunState
from s3tui.status import Done, Queued, Quiet, Running
from s3tui.workspace import FoundRun


@dataclass(frozen=True)
class Line:
    """One run. What is not known (yet) is None; `seconds` is how long it took, or has been at it.

    `used` are the parameters that count against the budget: expected while searching, those of the structure once it
    is chosen. `left` are the seconds that the phase still takes.
    """

    name: str
    suite: str
    status: str
    note: str
    task: str
    method: str
    model: str
    seed: int | None
    phase: str
    step: int | None
    total: int | None
    score: float | None
    best: float | None
    parameters: int | None
    used: float | None
    budget: int | None
    train_loss: float | None
    validation_loss: float | None
    seconds: float | None
    left: float | None
    device: str
    priority: int
    tags: tuple[str, ...]


def line_of(run: FoundRun, reasons: Mapping[str, str], state: RunState | None = None) -> Line:
    """A run as a line; `reasons` are the dispatcher's for what waits, `state` is what its events tell of a live one."""
    line = _from_files(run, reasons)
    return line if state is None or isinstance(run.status, Done) else _with_state(line, state)


def _with_state(line: Line, state: RunState) -> Line:
    """The line with what the events say, which is newer than the summary."""
    return replace(
        line, phase=state.phase or line.phase, step=state.step, total=state.total,
        score=state.score if state.score is not None else line.score,
        best=state.best if state.best is not None else line.best,
        parameters=state.parameters, train_loss=state.train_loss, validation_loss=state.validation_loss,
        used=state.parameters if state.parameters is not None else state.expected,
        budget=state.budget, seconds=state.elapsed, left=state.eta,
    )  # fmt: skip


def _from_files(run: FoundRun, reasons: Mapping[str, str]) -> Line:
    spec, summary = run.spec, run.summary
    result = run.status.result if isinstance(run.status, Done) else None
    waits_for = reasons.get(run.name, "") if isinstance(run.status, Queued) else ""
    parameters = result.parameters if result else summary.get("parameters")
    process = run.status.process if isinstance(run.status, (Running, Quiet)) else None
    return Line(
        name=run.name,
        suite=run.suite,
        status=run.status.name,
        note=waits_for or run.status.note,
        task=_task(spec),
        method=spec.get("method", ""),
        model=spec.get("model", ""),
        seed=spec.get("seed"),
        phase=summary.get("phase", ""),
        step=summary.get("step"),
        total=summary.get("total"),
        score=result.score if result else summary.get("score"),
        best=summary.get("best"),
        parameters=parameters,
        used=parameters if parameters is not None else summary.get("used"),
        budget=result.budget if result else summary.get("budget"),
        train_loss=summary.get("train_loss"),
        validation_loss=summary.get("validation_loss"),
        seconds=result.seconds if result else summary.get("seconds"),
        left=None,
        device=process.where if process else str(run.job) if run.job is not None and run.job.lives else "",
        priority=run.queue.priority if run.queue else 0,
        tags=run.queue.tags if run.queue else (),
    )


def _task(spec: Mapping[str, Any]) -> str:
    task: Mapping[str, str] = spec.get("task", {})
    return task.get("name") or task.get("path") or ""


NUMBERS = (
    "seed", "step", "score", "best", "parameters", "used", "budget", "train_loss", "validation_loss", "seconds", "left",
    "priority",
)  # fmt: skip
TEXTS = ("name", "suite", "status", "task", "method", "model", "phase", "device", "tag")
_COMPARE = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ":": operator.eq,
}
_TERM = re.compile(r"(-?)(\w+)(>=|<=|[:=<>])(.*)", re.DOTALL)


def parse_filter(words: Iterable[str]) -> Callable[[Line], bool]:
    """A filter of lines from words as `status:running`, `score>0.8`, `-tag:old`; a word alone is part of a name.

    All of them must hold. Texts may be patterns, or several with commas between; `-` in front says no.
    """
    terms = [_term(term) for word in words for term in shlex.split(word)]
    return lambda line: all(term(line) for term in terms)


def _term(text: str) -> Callable[[Line], bool]:
    match = _TERM.fullmatch(text)
    if match is None:
        wanted, negated = text.lstrip("-"), text.startswith("-")
        return lambda line: (wanted in line.name) != negated
    minus, key, sign, value = match.groups()
    if key in NUMBERS:
        return _number_term(key, sign, value, bool(minus))
    if key not in TEXTS:
        raise SpecError(f"{text!r} is no filter: there is no {key!r}", nearest(key, (*TEXTS, *NUMBERS)))
    if sign not in (":", "="):
        raise SpecError(f"{text!r} is no filter: {key} is no number", f"write {key}:{value or 'VALUE'}")
    return _text_term(key, value, bool(minus))


def _number_term(key: str, sign: str, value: str, negated: bool) -> Callable[[Line], bool]:
    try:
        number = float(value)
    except ValueError:
        raise SpecError(f"{key}{sign}{value} is no filter: {value!r} is no number") from None
    compare = _COMPARE[sign]

    def holds(line: Line) -> bool:
        mine = getattr(line, key)
        return (mine is not None and compare(mine, number)) != negated

    return holds


def _text_term(key: str, value: str, negated: bool) -> Callable[[Line], bool]:
    patterns = value.split(",")

    def holds(line: Line) -> bool:
        mine: Sequence[str] = line.tags if key == "tag" else (getattr(line, key),)
        return any(fnmatch.fnmatchcase(text, pattern) for text in mine for pattern in patterns) != negated

    return holds


def sorted_lines(lines: Iterable[Line], key: str) -> list[Line]:
    """By one column, `-` in front for the largest first; what has no value there comes last."""
    down, name = key.startswith("-"), key.lstrip("-")
    known = [field.name for field in fields(Line)]
    if name not in known:
        raise SpecError(f"lines cannot be sorted by {name!r}", nearest(name, known))
    lines = sorted(lines, key=lambda line: line.name)
    have = [line for line in lines if getattr(line, name) is not None]
    rest = [line for line in lines if getattr(line, name) is None]
    return sorted(have, key=lambda line: getattr(line, name), reverse=down) + rest
