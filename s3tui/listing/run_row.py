"""Runs as lines of a list: what of them is shown, filtered and sorted."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.run.errors import SpecError
from s3tui.runs.run_state import RunState
from s3tui.runs.status import Done, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun


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
        parameters=_number(state.parameters, int), train_loss=state.train_loss, validation_loss=state.validation_loss,
        used=state.parameters if state.parameters is not None else state.expected,
        budget=_number(state.budget, int), seconds=state.elapsed, left=state.eta,
    )  # fmt: skip


def _from_files(run: FoundRun, reasons: Mapping[str, str]) -> Line:
    spec, summary = run.spec, run.summary
    result = run.status.result if isinstance(run.status, Done) else None
    waits_for = reasons.get(run.name, "") if isinstance(run.status, Queued) else ""
    parameters = result.parameters if result else _number(summary.get("parameters"), int)
    process = run.status.process if isinstance(run.status, (Running, Quiet)) else None
    return Line(
        name=run.name,
        suite=run.suite,
        status=run.status.name,
        note=waits_for or run.status.note,
        task=str(_task(spec)),
        method=str(spec.get("method", "")),
        model=str(spec.get("model", "")),
        seed=_number(spec.get("seed"), int),
        phase=str(summary.get("phase", "")),
        step=_number(summary.get("step"), int),
        total=_number(summary.get("total"), int),
        score=result.score if result else _number(summary.get("score"), float),
        best=_number(summary.get("best"), float),
        parameters=parameters,
        used=parameters if parameters is not None else _number(summary.get("used"), float),
        budget=result.budget if result else _number(summary.get("budget"), int),
        train_loss=_number(summary.get("train_loss"), float),
        validation_loss=_number(summary.get("validation_loss"), float),
        seconds=result.seconds if result else _number(summary.get("seconds"), float),
        left=None,
        device=process.where if process else str(run.job) if run.job is not None and run.job.lives else "",
        priority=run.queue.priority if run.queue else 0,
        tags=run.queue.tags if run.queue else (),
    )


def _task(spec: Mapping[str, Any]) -> Any:
    task = spec.get("task")
    return (task.get("name") or task.get("path") or "") if isinstance(task, dict) else ""


def _number(value: Any, kind: Callable[[Any], Any]) -> Any:
    return kind(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _split(word: str) -> list[str]:
    try:
        return shlex.split(word)
    except ValueError:
        raise SpecError(f"{word!r} is no filter: a quote is not closed, or nothing follows a backslash") from None
