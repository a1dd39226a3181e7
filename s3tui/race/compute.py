"""The compute of a race: what all its runs have taken, and what is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3tui.race.decide import Arm, Confirmation, Decision
from s3tui.race.record import Rules


@dataclass(frozen=True)
class Compute:
    """Steps of search and training, and seconds, over all runs of a race.

    `left_steps` is what comes at most, as an arm that fails frees steps; `left_seconds` the time of that at the pace of
    the arms so far, or what a budget in seconds leaves, if that is less; None before a pace is known.
    """

    steps: int
    seconds: float
    left_steps: int
    left_seconds: float | None


def compute_of(
    rules: Rules, arms: Sequence[Arm], confirmations: Sequence[Confirmation], decision: Decision, ended: bool
) -> Compute:
    """The compute of a race that stands so; `ended` by hand."""
    steps = sum(arm.steps for arm in arms) + sum(one.steps for one in confirmations)
    seconds = sum(arm.seconds for arm in arms) + sum(one.seconds for one in confirmations)
    if decision.over:
        return Compute(steps, seconds, 0, 0.0)
    left = _left_of_confirmations(rules, confirmations, decision)
    if not (decision.spent or ended):
        left += _left_of_arms(rules, arms)
    paces = [arm.pace for arm in arms if arm.pace]
    times = [left * sum(paces) / len(paces)] if paces else []
    if rules.budget_seconds is not None:
        times.append(max(0.0, rules.budget_seconds - seconds))
    return Compute(steps, seconds, left, min(times, default=None))


def _left_of_confirmations(rules: Rules, confirmations: Sequence[Confirmation], decision: Decision) -> int:
    number = max(rules.final, len(decision.finalists)) * rules.confirm
    lost = sum(one.state == "lost" for one in confirmations)
    done = sum(one.steps for one in confirmations if one.state != "lost")
    return max(0, (number - lost) * rules.rungs[-1] - done)


def _left_of_arms(rules: Rules, arms: Sequence[Arm]) -> int:
    """What arms under way take up to their limits, and those that will go on between two rungs."""
    sizes = rules.sizes(tuple(arm.search_steps for arm in arms))
    left = sum(max(0, arm.search_steps + arm.limit - arm.steps) for arm in arms if arm.state in ("open", "held"))
    for before, step, size in zip(rules.rungs, rules.rungs[1:], sizes[1:], strict=False):
        left += max(0, size - sum(arm.limit >= step for arm in arms)) * (step - before)
    return left
