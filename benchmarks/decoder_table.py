"""The table of suites/offline-decoder.toml: what methods score on a decoder, and what their runs use."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import tomllib
from cells import cell, markdown
from collect import flat, name_of
from evidence import LORA, RANDOM, ROOT, S3, Arm, Evidence, Run

SUITE: dict[str, Any] = tomllib.loads((ROOT / "suites" / "offline-decoder.toml").read_text())
TASKS = ("superglue-cb", "superglue-copa", "icd10-chapter", "rte", "sst2")
BUDGETS = {"1e-4": 1e-4, "2e-5": 2e-5}
RATED = "icd10-chapter"  # the task on which learning rates were compared
RATES = {  # of search and training
    title: {"budget": BUDGETS["1e-4"], "retrain.learning_rate": value, "search.learning_rate": value}
    for title, value in {"**5e-3**": 5e-3, "1e-2": 1e-2, "2e-2": 2e-2, "4e-2": 4e-2, "8e-2": 8e-2}.items()
}
SPACE = "rank1-and-biases"
TITLES = {
    "searched": S3.title,
    "saliency": "`saliency`",
    "by-chance": RANDOM.title,
    "lora-q-v": LORA.title,
    "bitfit": "BitFit",
}


def _arm(title: str, variant: Mapping[str, Any]) -> Arm:
    settings = flat(variant)
    return Arm(title, settings.pop("method", S3.method), settings.pop("space", SPACE), settings, suite=SUITE)


VARIANTS = SUITE["experiment"]["compared"]["matrix"]["variant"]
ARMS = tuple(_arm(title, VARIANTS[name]) for name, title in TITLES.items())


def scores_and_use(evidence: Evidence) -> str:
    """The scores of each task's arms by budget, and what a run at the first budget used."""
    rows = [[f"{task}: {arm.title}", *_cells(evidence, arm, task)] for task in TASKS for arm in ARMS]
    return markdown(["", *BUDGETS, "CPU minutes", "peak GB", "most frequent answer"], rows)


def _cells(evidence: Evidence, arm: Arm, task: str) -> list[str]:
    sized = [arm.changed({"budget": budget}) for budget in BUDGETS.values()]
    cells = [cell(evidence.scores(one, task)) for one in sized]
    if not any(cells):
        return cells
    runs = [run for run in evidence.runs(sized[0], task) if "cpu_seconds" in run]
    used = [_mean(runs, "cpu_seconds", 60), _mean(runs, "peak_memory_bytes", 1e9)]
    table = evidence.tasks[name_of(task, SUITE["defaults"]["model"])]
    return [*cells, *used, f"{100 * table['constant']:.1f}"]


def _mean(runs: Sequence[Run], key: str, unit: float) -> str:
    """The mean of a number over runs, in a unit; empty without runs."""
    return f"{statistics.fmean(run[key] for run in runs) / unit:.1f}" if runs else ""
