"""The events of a run in words: the lines of its `log.txt`, and what `s3tui run` prints without a terminal."""

from __future__ import annotations

import math

from core.run.events import Data, EndedEarly, Eval, Event, Finished, Phase, SearchTaken, Space, Started, StructureChosen
from core.run.verdict import many


def told(event: Event, total: int | None = None) -> str | None:
    """An event as a line of text; None for those that come too often, and for a failure, which has a line of its own.

    `total` is the number of steps of the phase, None if it is not known.
    """
    if isinstance(event, Eval):
        return _evaluation(event, total)
    if isinstance(event, EndedEarly):
        return f"{event.phase} ended early, after step {event.step} of {total or '?'}: {event.reason}"
    if isinstance(event, Phase):
        return event.phase if event.phase == "test" else f"{event.phase}: {event.total:,} steps"
    if isinstance(event, SearchTaken):
        return f"takes the search of {event.source}: {event.steps:,} steps, {event.seconds:.0f} s"
    if isinstance(event, StructureChosen):
        undone = f"; {many(event.prunings_left, 'pruning')} left undone" if event.prunings_left else ""
        return f"structure: {len(event.selected):,} candidates chosen, {event.parameters:,} parameters{undone}"
    if isinstance(event, Finished):
        return f"finished after {event.seconds:.0f} s: test {_measured(event.metrics)}"
    return _beginning(event)


def _beginning(event: Event) -> str | None:
    """The line of an event from before training."""
    if isinstance(event, Started):
        resumed = f", resumed after step {event.resumed_step} of {event.resumed_phase}" if event.resumed_phase else ""
        return f"attempt {event.attempt} on {event.device} in {event.precision}{resumed}"
    if isinstance(event, Data):
        rows = ", ".join(f"{split} {count:,}" for split, count in event.rows.items())
        return f"rows: {rows}" + (f"; {len(event.labels):,} classes" if event.labels else "")
    if isinstance(event, Space):
        limit = "no budget" if event.budget is None else f"a budget of {event.budget:,}"
        return f"{len(event.candidates):,} candidates with {event.parameters:,} parameters; {limit}"
    return None


def _evaluation(event: Eval, total: int | None) -> str:
    if event.split == "test":  # a single evaluation, without steps and best
        return f"test: {_measured(event.metrics)}"
    best = ", best so far" if event.best else ""
    return f"{event.phase} {event.step}/{total or '?'}, {event.split}: {_measured(event.metrics)}{best}"


def _measured(metrics: dict[str, float]) -> str:
    """Metrics in points; one that is not a number, or None as read back from JSON, as a dash."""
    known = {name: value is not None and math.isfinite(value) for name, value in metrics.items()}
    return ", ".join(f"{name} {100 * value:.2f}" if known[name] else f"{name} -" for name, value in metrics.items())
