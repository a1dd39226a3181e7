"""The rows of the table of runs: the values of a run that are shown, filtered and sorted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.run.verdict import Verdict
from s3tui.runs.records.result import Result
from s3tui.runs.records.settings import task_of
from s3tui.runs.run_state import RunState
from s3tui.runs.status import Done, Queued, Quiet, Running
from s3tui.runs.workspace import FoundRun


@dataclass(frozen=True, slots=True)
class Line:
    """One run. Values that are not known (yet) are None; `seconds` is its duration so far.

    `score` is that on the test split if it is finished, before the latest on the validation split; `best` is the best
    on the validation split.

    `used` are the parameters that count against the budget: the expected number while searching, then those of the
    chosen structure. `left` is the estimated number of seconds until the phase ends. `verdict` is that on its search.
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
    verdict: Verdict | None = None


def line_of(
    run: FoundRun, reasons: Mapping[str, str], state: RunState | None = None, verdict: Verdict | None = None
) -> Line:
    """The line of a run; `reasons` are the dispatcher's for waiting runs, `state` is that of a live run.

    `verdict` is given by whoever has read the structure, which takes longer than all the rest.
    """
    line = _from_files(run, reasons, verdict)
    if state is None or isinstance(run.status, Done):
        return line
    line = _with_state(line, state)
    return line if isinstance(run.status, (Running, Quiet)) else replace(line, left=None)


def _with_state(line: Line, state: RunState) -> Line:
    """The line updated from the events, which are newer than the summary."""
    return replace(
        line, phase=state.phase or line.phase, step=state.step, total=state.total,
        score=state.score if state.score is not None else line.score,
        best=state.best if state.best is not None else line.best,
        parameters=state.parameters, train_loss=state.train_loss, validation_loss=state.validation_loss,
        used=state.parameters if state.parameters is not None else state.expected,
        budget=state.budget, seconds=state.elapsed, left=state.eta,
    )  # fmt: skip


def _from_files(run: FoundRun, reasons: Mapping[str, str], verdict: Verdict | None) -> Line:
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
        task=task_of(spec),
        method=spec.get("method", ""),
        model=spec.get("model", ""),
        seed=spec.get("seed"),
        phase=summary.get("phase", ""),
        step=summary.get("step"),
        total=summary.get("total"),
        score=result.score if result else summary.get("score"),
        best=_best(result, summary),
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
        verdict=verdict,
    )


def _best(result: Result | None, summary: Mapping[str, Any]) -> float | None:
    """The best validation score; summaries of finished runs had the test score there in earlier versions."""
    best: float | None = summary.get("best")
    return best if result is None else result.validation.get(result.metric, best)
