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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomllib
from collect import name_of, read_tables, settings_of
from replay import races

from core.run.spaces import SpaceSpec, library_space
from core.run.spec import RunSpec
from s3tui.race.record import Rules
from s3tui.results.gains import gain

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- table ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SUITE: dict[str, Any] = tomllib.loads((ROOT / "experiments.toml").read_text())
OF_DECODER: dict[str, Any] = tomllib.loads((ROOT / "suites" / "offline-decoder.toml").read_text())
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

    def changed(self, settings: Mapping[str, Any], precision: str = "") -> Arm:
        """The same with other settings too."""
        return replace(self, settings={**self.settings, **settings}, precision=precision or self.precision)

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


LORA = Arm("LoRA r1 on q, v", "fixed", "lora-q-v")
BITFIT = Arm("BitFit, last layers", "fixed", "bitfit")
RANDOM = Arm("random structures", "random")
HEAD = Arm("head only", "fixed", "none", {"budget": "none"})
S3 = Arm("`s3`")
# The learning rate of the search scales all scores alike; these runs are of the day before it was changed.
SCORED = {"search.learning_rate": 5e-3}
TAYLOR = Arm("`saliency`, `taylor`", "saliency", settings={**SCORED, "saliency.criterion": "taylor"})
FISHER = Arm("`saliency`, `fisher`", "saliency", settings={**SCORED, "saliency.criterion": "fisher"})
PLAIN = tuple(
    Arm(f"{arm.title}, A at random", "saliency", settings={**arm.settings, "saliency.lora_start": "random"})
    for arm in (TAYLOR, FISHER)
)


class Evidence:
    """The collected runs."""

    def __init__(self) -> None:
        self.tasks = read_tables()

    def of(self, task: str, model: str) -> dict[str, Any] | None:
        """What is collected of a task and a model."""
        return self.tasks.get(name_of(task, model))

    def runs(self, arm: Arm, task: str) -> list[dict[str, Any]]:
        """The runs of an arm on a task."""
        spec = arm.spec()
        table = self.of(task, spec.model)
        if table is None:
            return []
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


def by_setting(
    evidence: Evidence, tasks: Sequence[str], arms: Sequence[Arm], columns: Mapping[str, Mapping[str, Any]]
) -> str:
    """Each task's arms by settings; a column is a title and what it changes."""
    rows = [
        [f"{task}: {arm.title}", *(cell(evidence.scores(arm.changed(change), task)) for change in columns.values())]
        for task in tasks
        for arm in arms
    ]
    return markdown(["", *columns], rows)


def by_task(evidence: Evidence, arms: Sequence[Arm], tasks: Sequence[str], reference: Arm) -> str:
    """The scores of arms on tasks, each with the difference to the reference."""
    rows = []
    for arm in arms:
        scores = [(evidence.scores(arm, task), evidence.scores(reference, task)) for task in tasks]
        rows.append([arm.title, *(f"{cell(a)} {difference(a, b)}".strip() for a, b in scores)])
    return markdown(["", *tasks], rows)


def cost(evidence: Evidence, arms: Sequence[Arm], task: str, reference: Arm) -> str:
    """One task in full: scores, range, difference, what was trained and the seconds of a run."""
    rows = []
    for arm in arms:
        runs, scores = evidence.runs(arm, task), evidence.scores(arm, task)
        if len(runs) > 1:
            trained = statistics.fmean(run["trained"] for run in runs)
            spread = f"{min(scores.values()):.1f} to {max(scores.values()):.1f}"
            best = cell(evidence.scores(arm, task, "validation"))
            versus = difference(scores, evidence.scores(reference, task))
            rows.append([arm.title, f"{trained:,.0f}", cell(scores), spread, versus, best])
    return markdown(["", "trained", "test", "range", f"against {reference.title}", "validation"], rows)


def mean_of(runs: Sequence[Mapping[str, Any]], key: str, unit: float) -> str:
    """The mean of a number over runs, in a unit; empty without runs."""
    return f"{statistics.fmean(run[key] for run in runs) / unit:.1f}" if runs else ""


def used(evidence: Evidence, tasks: Sequence[str], arms: Sequence[Arm], budgets: Mapping[str, float]) -> str:
    """Scores of arms on tasks by budget, and what a run at the first budget used."""
    rows = []
    for task in tasks:
        table = evidence.of(task, arms[0].suite["defaults"]["model"])
        constant = f"{100 * table['constant']:.1f}" if table else ""
        for arm in arms:
            sized = [arm.changed({"budget": budget}) for budget in budgets.values()]
            runs = [run for run in evidence.runs(sized[0], task) if "cpu_seconds" in run]
            cells = [cell(evidence.scores(one, task)) for one in sized]
            cells += [mean_of(runs, "cpu_seconds", 60), mean_of(runs, "peak_memory_bytes", 1e9)]
            rows.append([f"{task}: {arm.title}", *cells, constant if any(cells) else ""])
    return markdown(["", *budgets, "CPU minutes", "peak GB", "one answer always"], rows)


def raced(evidence: Evidence, rules: Rules, precision: str) -> str:
    """Replayed races by task, each way with the difference to the race."""
    found = {task: races(rules, table, precision) for task, table in evidence.tasks.items()}
    found = {task: ways for task, ways in found.items() if ways}
    names = dict.fromkeys(way for ways in found.values() for way in ways)
    rows = []
    for name in names:
        cells = [(ways.get(name, {}), ways["race"]) for ways in found.values()]
        title = "**race**" if name == "race" else f"`{name}` alone"
        rows.append([title, *(f"{cell(a)} {difference(a, b)}".strip() for a, b in cells)])
    return markdown(["", *found], rows)


def rate(value: float) -> Mapping[str, Any]:
    """Retraining at another peak learning rate."""
    return {"retrain.learning_rate": value}


FOUR = ("icd10-chapter", "stsb", "sst2", "mrpc")
THREE = FOUR[:3]
NOT_SEARCHED = (LORA, BITFIT, RANDOM)
SEARCHED = Arm("`s3`, going on from the search's weights")
SCRATCH = Arm("`s3`, from scratch", settings={"retrain.start": "scratch"})
SLOWER = Arm("`s3`, from scratch at 5e-3", settings={**SCRATCH.settings, **rate(5e-3)})
IN_FP32 = tuple(Arm(f"{arm.title}, fp32", arm.method, arm.space, precision="fp32") for arm in NOT_SEARCHED)
RATES = {"5e-3": rate(5e-3), "**1e-2**": rate(1e-2), "2e-2": rate(2e-2)}
PEFT = tuple(Arm(f"`{method}`", method, precision="fp32") for method in ("lora", "adalora", "eva", "ln-tuning"))
TWICE = {"retrain.max_steps": 600}
TWICE_AS_LONG = (
    Arm(f"{LORA.title}, 600 steps", LORA.method, LORA.space, TWICE),
    Arm(f"{RANDOM.title}, 600 steps", RANDOM.method, settings=TWICE),
    Arm(f"{FISHER.title}, 600 steps", FISHER.method, settings={**FISHER.settings, **TWICE}),
    Arm(f"{SEARCHED.title}, 600 steps", settings=TWICE),
)
SEEN = tuple(Arm(f"`s3`, data_seed = {seed}", settings={**SCRATCH.settings, "data_seed": seed}) for seed in (0, 1))
DECODER = tuple(
    replace(arm, space=space, suite=OF_DECODER)
    for arm, space in (
        (S3, "rank1-and-biases"), (Arm("`saliency`", "saliency"), "rank1-and-biases"), (RANDOM, "rank1-and-biases"),
        (LORA, "lora-q-v"), (Arm("BitFit", "fixed"), "bitfit"),
    )
)  # fmt: skip
TABLES: dict[str, Callable[[Evidence], str]] = {
    "default-suite": lambda e: cost(
        e, (LORA, SEARCHED, SCRATCH, FISHER, TAYLOR, RANDOM, BITFIT, HEAD, *TWICE_AS_LONG), THREE[0], LORA
    ),
    "rates": lambda e: by_setting(e, THREE, (*IN_FP32, *NOT_SEARCHED), RATES),
    "criteria": lambda e: by_task(e, (FISHER, TAYLOR, *PLAIN, RANDOM, LORA, BITFIT), FOUR, FISHER),
    "results": lambda e: by_task(e, (LORA, RANDOM, BITFIT, TAYLOR, FISHER, SCRATCH, SEARCHED), FOUR, LORA),
    "start": lambda e: by_task(e, (SCRATCH, SEARCHED, SLOWER), THREE, SCRATCH),
    "search-rates": lambda e: by_setting(e, THREE[:2], SEEN, {"5e-3": {"search.learning_rate": 5e-3}, "**1e-2**": {}}),
    "race": lambda e: raced(e, Rules((150, 300), final=1), "bf16"),
    "peft-rates": lambda e: by_setting(e, THREE[:1], (*IN_FP32, *PEFT), RATES),
    "decoder": lambda e: used(
        e, ("superglue-cb", "superglue-copa", "icd10-chapter", "rte", "sst2"), DECODER, {"1e-4": 1e-4, "2e-5": 2e-5}
    ),
    "precision": lambda e: by_task(
        e, (Arm("bf16", "random"), Arm("fp32", "random", precision="fp32")), (THREE[0], THREE[2]), RANDOM
    ),
}


def filled(page: str, evidence: Evidence) -> str:
    """A page with its tables drawn anew."""
    return BLOCK.sub(lambda block: block[1] + TABLES[block[2]](evidence) + block[3], page)


def main() -> int:
    """Draw, or check; returns the exit code."""
    evidence, check, stale = Evidence(), sys.argv[1:] == ["--check"], []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        old = path.read_text()
        new = filled(old, evidence)
        if new != old:
            stale.append(path.name)
            if not check:
                path.write_text(new)
    print(f"{'out of date' if check else 'drawn anew'}: {', '.join(stale) or 'none'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
