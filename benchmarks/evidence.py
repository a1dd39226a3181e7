"""The collected runs (`benchmarks/results/proof`), asked for by arm and task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomllib
from collect import name_of, read_tables, settings_of

from core.run.methods import method_of
from core.run.spaces import SpaceSpec, library_space
from core.run.spec import RunSpec

ROOT = Path(__file__).parent.parent
SUITE: dict[str, Any] = tomllib.loads((ROOT / "experiments.toml").read_text())
Run = Mapping[str, Any]
Seeds = dict[int, float]


@dataclass(frozen=True)
class Arm:
    """What is compared: a run of a suite, the default one, with another method and space, and `settings` (dotted)."""

    title: str
    method: str = "s3"
    space: str = "mix-low-rank"
    settings: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "bf16"
    suite: Mapping[str, Any] = field(default_factory=lambda: SUITE)

    def changed(self, settings: Mapping[str, Any]) -> Arm:
        """The same with other settings too."""
        return replace(self, settings={**self.settings, **settings})

    def spec(self) -> RunSpec:
        """The settings of its runs on some task."""
        tree: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in self.suite["defaults"].items()}
        own = self.suite["space"].get(self.space)
        space = library_space(self.space) if own is None else SpaceSpec(name=self.space, groups=(own,))
        tree |= {"method": self.method, "space": space, "task": {"name": "rte"}}
        for key, value in self.settings.items():
            table, _, name = key.rpartition(".")
            (tree.setdefault(table, {}) if table else tree)[name] = value
        return RunSpec.model_validate(tree)


def rate(value: float) -> Mapping[str, Any]:
    """Retraining at another peak learning rate."""
    return {"retrain.learning_rate": value}


LORA = Arm("LoRA r1 on q, v", "fixed", "lora-q-v")
BITFIT = Arm("BitFit, last layers", "fixed", "bitfit")
RANDOM = Arm("random structures", "random")
HEAD = Arm("head only", "fixed", "none", {"budget": "none"})
S3 = Arm("`s3`")
AS_LONG = {"retrain.max_steps": 500, "retrain.eval_every": 250}  # as long as search and training of `s3` together
TWO_LEVELS = Arm("`s3`, two levels", settings={"search.bilevel": True, "search.hypergradient": "first-order"})
TAYLOR = Arm("`saliency`, `taylor`", "saliency", settings={"saliency.criterion": "taylor"})
FISHER = Arm("`saliency`, `fisher`", "saliency", settings={"saliency.criterion": "fisher"})


class Evidence:
    """The collected runs of all tasks."""

    def __init__(self, tasks: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.tasks = read_tables() if tasks is None else tasks

    def runs(self, arm: Arm, task: str) -> list[Run]:
        """The runs of an arm on a task, one of each seed."""
        spec = arm.spec()
        table = self.tasks.get(name_of(task, spec.model))
        if table is None:
            return []
        wanted = _told(spec.method, settings_of(spec))
        found = {
            name
            for name, known in table["arms"].items()
            if (known["method"], table["spaces"][known["space"]]["name"]) == (spec.method, spec.space.name)
            and _told(spec.method, known["settings"]) == wanted
        }
        runs = [run for run in table["runs"] if run["arm"] in found and run["precision"] == arm.precision]
        return list({run["seed"]: run for run in runs}.values())

    def scores(self, arm: Arm, task: str, of: str = "test") -> Seeds:
        """The score of each seed, in points."""
        return {run["seed"]: 100 * run[of] for run in self.runs(arm, task)}


def _told(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by which arms are told apart, those of the task left out.

    The learning rate of a search that learns no weights scales all its scores alike, and so is left out too, as is
    whether it has two levels: both were changed between two days of these runs.
    """
    unread = () if method_of(method).learns else ("search.learning_rate", "search.bilevel")
    return {key: value for key, value in settings.items() if not key.startswith("task.") and key not in unread}
