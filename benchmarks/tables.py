"""Draws the tables of the docs from `benchmarks/results/proof`, which `benchmarks/collect.py` fills.

    python benchmarks/tables.py [--check]

A table stands in a page between `<!-- table NAME -->` and `<!-- end -->`, and is replaced there. With `--check` nothing
is written, and the exit code says whether a page is out of date. A cell is the mean over seeds ± their standard
deviation, in points; a difference is the mean of paired differences (equal seeds) with its 95 % interval (Student).
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib
from collect import read_tables, settings_of

from core.run.spaces import SpaceSpec, library_space
from core.run.spec import RunSpec
from s3tui.results.gains import gain

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- table ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SUITE: dict[str, Any] = tomllib.loads((ROOT / "experiments.toml").read_text())
Seeds = dict[int, float]


@dataclass(frozen=True)
class Arm:
    """What is compared: a run of the default suite with another method and space, and other `settings` (dotted)."""

    title: str
    method: str = "s3"
    space: str = "mix-low-rank"
    settings: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "bf16"

    def changed(self, settings: Mapping[str, Any], precision: str = "") -> Arm:
        """The same with other settings too."""
        return Arm(self.title, self.method, self.space, {**self.settings, **settings}, precision or self.precision)

    def spec(self) -> RunSpec:
        """The settings of its runs on some task."""
        tree: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in SUITE["defaults"].items()}
        own = SUITE["space"].get(self.space)
        space = library_space(self.space) if own is None else SpaceSpec(name=self.space, groups=(own,))
        tree |= {"method": self.method, "space": space, "task": {"name": "rte"}}
        for key, value in self.settings.items():
            table, _, name = key.rpartition(".")
            (tree.setdefault(table, {}) if table else tree)[name] = value
        return RunSpec.model_validate(tree)


LORA = Arm("LoRA r1 on q, v", "fixed", "lora-q-v")
BITFIT = Arm("BitFit, last layers", "fixed", "bitfit")
RANDOM = Arm("random structures", "random")
HEAD = Arm("head only", "fixed", "none", {"budget": "none"})
S3 = Arm("`s3`")
TAYLOR = Arm("`saliency`, `taylor`", "saliency", settings={"saliency.criterion": "taylor"})
FISHER = Arm("`saliency`, `fisher`", "saliency", settings={"saliency.criterion": "fisher"})
PLAIN = Arm("`taylor`, A at random", "saliency", settings={"saliency.criterion": "taylor", "saliency.lora_start": "random"})


class Evidence:
    """The collected runs."""

    def __init__(self) -> None:
        self.tasks = read_tables()

    def runs(self, arm: Arm, task: str) -> list[dict[str, Any]]:
        """The runs of an arm on a task."""
        table = self.tasks.get(task)
        if table is None:
            return []
        spec = arm.spec()
        wanted = _without_task(settings_of(spec))
        found = {
            name
            for name, known in table["arms"].items()
            if (known["method"], table["spaces"][known["space"]]["name"]) == (spec.method, spec.space.name)
            and _without_task(known["settings"]) == wanted
        }
        return [run for run in table["runs"] if run["arm"] in found and run["precision"] == arm.precision]

    def scores(self, arm: Arm, task: str, of: str = "test") -> Seeds:
        """The score of each seed, in points."""
        return {run["seed"]: 100 * run[of] for run in self.runs(arm, task)}


def _without_task(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if not key.startswith("task.")}


def cell(scores: Seeds) -> str:
    """The mean over seeds, their standard deviation and number."""
    values = list(scores.values())
    if len(values) < 2:
        return f"{values[0]:.1f} (1)" if values else ""
    return f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f} ({len(values)})"


def difference(ours: Seeds, theirs: Seeds) -> str:
    """The mean paired difference with its interval."""
    if ours == theirs or len(ours.keys() & theirs.keys()) < 2:
        return ""
    found = gain("", ours, theirs)
    assert found.interval is not None
    return f"{found.difference:+.1f} [{found.interval[0]:+.1f}, {found.interval[1]:+.1f}]"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, without the rows that are empty."""
    lines = [head, ["---"] * len(head), *(row for row in rows if any(row[1:]))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def grid(evidence: Evidence, arms: Sequence[Arm], columns: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """Arms by columns, each a title, a task and changed settings."""
    rows = [[arm.title, *(cell(evidence.scores(arm.changed(c), task)) for _, task, c in columns)] for arm in arms]
    return markdown(["", *(title for title, _, _ in columns)], rows)


def against(evidence: Evidence, arms: Sequence[Arm], reference: Arm, tasks: Sequence[str]) -> str:
    """The scores of arms on tasks, each with the difference to the reference."""
    rows = []
    for arm in arms:
        scores = [(evidence.scores(arm, task), evidence.scores(reference, task)) for task in tasks]
        rows.append([arm.title, *(f"{cell(a)} {difference(a, b)}".strip() for a, b in scores)])
    return markdown(["", *tasks], rows)
