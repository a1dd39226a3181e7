"""The `race` table of an experiment, and what must hold of its arms."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

from core.run.methods import method_of
from core.run.spec import RunSpec
from s3tui.race.facts import searches_of
from s3tui.race.record import Rules
from s3tui.suite.validate import read_table
from s3tui.text.problems import Key, Problems
from s3tui.text.toml_types import MOST, Positive, Table, fault

EXAMPLE = "{ arms = 24, rungs = [100, 300, 900] }"
MOST_CONFIRMATIONS = 100
_TIME = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,4})m)?(?:(\d{1,6})s)?")


def _rungs(value: Any) -> Any:
    rule = "should be a list of rising whole numbers of steps, as in [100, 300, 900]"
    if not isinstance(value, (list, tuple)) or not value or not all(type(v) is int and 0 < v <= MOST for v in value):
        raise fault(rule)
    if any(after <= before for before, after in itertools.pairwise(value)):
        raise fault(rule)
    return tuple(value)


def _keep(value: Any) -> Any:
    if type(value) not in (int, float) or not 0 < value < 1:
        raise fault("should be the share of arms that go on from each rung, above 0 and below 1, as in 0.34")
    return float(value)


def _few(value: Any) -> Any:
    if type(value) is not int or not 1 <= value <= MOST_CONFIRMATIONS:
        raise fault(f"should be a whole number from 1 to {MOST_CONFIRMATIONS}")
    return value


def seconds_of(text: str) -> int | None:
    """A time such as `2h`, `90m` or `1h30m` in seconds; None if it is none."""
    match = _TIME.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    return 3600 * hours + 60 * minutes + seconds or None


def _budget(value: Any) -> Any:
    if isinstance(value, str) and seconds_of(value):
        return value
    if type(value) is not int or not 0 < value <= MOST:
        raise fault('should be a number of steps, or a time in quotes as in "2h" or "1h30m"')
    return value


class RaceTable(Table):
    """Keys of `race = { ... }` in an experiment."""

    rungs: Annotated[tuple[int, ...], BeforeValidator(_rungs)] = ()
    arms: Positive | None = None
    keep: Annotated[float, BeforeValidator(_keep)] = 1 / 3
    confirm: Annotated[int, BeforeValidator(_few)] = 3
    final: Annotated[int, BeforeValidator(_few)] = 2
    budget: Annotated[int | str | None, BeforeValidator(_budget)] = None

    @property
    def rules(self) -> Rules:
        """The same as rules, its budget in steps or in seconds."""
        steps = self.budget if isinstance(self.budget, int) else None
        seconds = seconds_of(self.budget) if isinstance(self.budget, str) else None
        return Rules(self.rungs, self.keep, self.confirm, self.final, steps, seconds)


def race_table(value: Any, key: Key, problems: Problems) -> RaceTable | None:
    """The `race` of an experiment; None where it is too faulty to go on with, which is noted."""
    if not isinstance(value, dict):
        problems.add(key, f"should be a table, as in {EXAMPLE}")
        return None
    table = read_table(RaceTable, value, key, problems)
    if "rungs" not in value:
        problems.add((*key, "rungs"), "missing; name the steps at which arms are compared, as in [100, 300, 900]")
    return table if table.rungs else None


def check_arms(rules: Rules, specs: Sequence[RunSpec], key: Key, problems: Problems) -> None:
    """Report what keeps these runs from racing: too few, other lengths, a rung without evaluation, no room."""
    if len(specs) < 2:
        problems.add(key, "a race needs two arms or more: give a matrix, or ranges and arms")
        return
    if any(spec.retrain.max_steps != rules.rungs[-1] for spec in specs):
        problems.add(
            (*key, "rungs"), "the last is the length of every arm: leave the length of retrain out of the matrix"
        )
        return
    for every in dict.fromkeys(spec.retrain.eval_every for spec in specs):
        for rung in rules.rungs[:-1]:
            if rung % every:
                reason = f"there is no evaluation at step {rung}, as retrain.eval_every is {every}"
                problems.add((*key, "rungs"), f"{reason}; set that to a number of which all rungs are multiples")
                return
    if rules.budget_steps is not None:
        _check_steps(rules, specs, (*key, "budget"), problems)


def _check_steps(rules: Rules, specs: Sequence[RunSpec], key: Key, problems: Problems) -> None:
    """Report a budget in steps that cannot be counted, or is too small for the first rung and the confirmations."""
    written = [spec.model_dump(mode="json") for spec in specs]
    if any(table.get("search", {}).get("epochs") and _reads_search(table) for table in written):
        problems.add(key, "is in steps, so searches must be too: give search.max_steps, or a time")
        return
    searches = searches_of(written)
    needed = sum(searches) + len(searches) * rules.rungs[0] + rules.confirmation_steps
    if rules.sizes(searches)[0] < len(specs):
        problems.add(key, f"{len(specs)} arms up to step {rules.rungs[0]} and the confirmations take {needed:,} steps")


def _reads_search(table: dict[str, Any]) -> bool:
    return method_of(table["method"]).length == "search"
