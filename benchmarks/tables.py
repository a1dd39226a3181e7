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
from dataclasses import replace
from typing import Any

import decoder_table
import portfolio
import proof_tables
import race_tables
from cells import cell, difference, markdown
from evidence import AS_LONG, BITFIT, FISHER, HEAD, LORA, RANDOM, ROOT, S3, TAYLOR, TWO_LEVELS, Arm, Evidence, rate

BLOCK = re.compile(r"(<!-- table ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
PLAIN = tuple(
    Arm(f"{arm.title}, A at random", "saliency", settings={**arm.settings, "saliency.lora_start": "random"})
    for arm in (TAYLOR, FISHER)
)


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


def by_length(evidence: Evidence, arms: Sequence[Arm], task: str, lengths: Sequence[int], reference: Arm) -> str:
    """One task's arms by steps of training, each with the difference to the reference at the same length."""
    columns = {f"{steps} steps": {"retrain.max_steps": steps} for steps in lengths}
    rows = []
    for arm in arms:
        scores = [
            [evidence.scores(one.changed(change), task) for one in (arm, reference)] for change in columns.values()
        ]
        rows.append([arm.title, *(f"{cell(mine)} {difference(mine, theirs)}".strip() for mine, theirs in scores)])
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


def named(what: str, arm: Arm, settings: Mapping[str, Any]) -> Arm:
    """An arm with other settings, which its title tells."""
    return replace(arm.changed(settings), title=f"{arm.title}, {what}")


FOUR = ("icd10-chapter", "stsb", "sst2", "mrpc")
THREE = FOUR[:3]
NOT_SEARCHED = (LORA, BITFIT, RANDOM)
SCRATCH = named("from scratch", TWO_LEVELS, {"retrain.start": "scratch"})
SLOWER = named("at 5e-3", SCRATCH, rate(5e-3))
SOFT = {"search.gates": "soft"}
ONE_LEVEL = named("one level", S3, {})
KINDS = (ONE_LEVEL, named("soft gates", ONE_LEVEL, SOFT), TWO_LEVELS, named("soft gates", TWO_LEVELS, SOFT))
TUNED = tuple(arm.changed({"data_seed": 0}) for arm in KINDS)
LENGTHS = {f"{steps} steps": {"search.max_steps": steps} for steps in (75, 150, 300)}
IN_FP32 = tuple(Arm(f"{arm.title}, fp32", arm.method, arm.space, precision="fp32") for arm in NOT_SEARCHED)
RATES = {"5e-3": rate(5e-3), "**1e-2**": rate(1e-2), "2e-2": rate(2e-2)}
PEFT = tuple(Arm(f"`{method}`", method, precision="fp32") for method in ("lora", "adalora", "eva", "ln-tuning"))
LONGER = tuple(
    named(f"{steps} steps", arm, {"retrain.max_steps": steps})
    for steps in (600, 900, 1200)
    for arm in (LORA, RANDOM, FISHER, TWO_LEVELS, ONE_LEVEL)
)
EQUAL = (S3, *(named("500 steps", arm, AS_LONG) for arm in (LORA, RANDOM)), LORA, RANDOM)
# What searches trains for fewer steps, so that all take as long as 900.
TIGHT = tuple(
    arm.changed({"budget": 1.389e-4, "retrain.max_steps": steps, "retrain.eval_every": 300})
    for arm, steps in (
        (S3, 700),
        (FISHER, 850),
        (RANDOM, 900),
        (Arm("LoRA r1 on q, v, evenly", "fixed", "lora-q-v", {"fixed.order": "even"}), 900),
        (Arm("BitFit, evenly", "fixed", "bitfit", {"fixed.order": "even"}), 900),
    )
)
SEEN = tuple(named(f"data_seed = {seed}", SCRATCH, {"data_seed": seed}) for seed in (0, 1))
TABLES: dict[str, Callable[[Evidence], str]] = {
    "default-suite": lambda e: cost(
        e, (LORA, ONE_LEVEL, TWO_LEVELS, SCRATCH, FISHER, TAYLOR, RANDOM, BITFIT, HEAD, *LONGER), THREE[0], LORA
    ),
    "headline": lambda e: by_length(e, (LORA, S3, FISHER, RANDOM, BITFIT, HEAD), THREE[0], (300, 600, 900, 1200), LORA),
    "rates": lambda e: by_setting(e, THREE, (*IN_FP32, *NOT_SEARCHED), RATES),
    "criteria": lambda e: by_task(e, (FISHER, TAYLOR, *PLAIN, RANDOM, LORA, BITFIT), FOUR, FISHER),
    "start": lambda e: by_task(e, (SCRATCH, TWO_LEVELS, SLOWER), THREE, SCRATCH),
    "levels": lambda e: by_task(e, KINDS, THREE, TWO_LEVELS),
    "search-length": lambda e: by_setting(e, THREE[:1], TUNED, LENGTHS),
    "search-rates": lambda e: by_setting(e, THREE[:2], SEEN, {"5e-3": {"search.learning_rate": 5e-3}, "**1e-2**": {}}),
    "race": race_tables.raced,
    "race-on": race_tables.raced_on,
    "proof": proof_tables.scores,
    "proof-rates": proof_tables.rates,
    "proof-lora": lambda e: proof_tables.against(e, LORA),
    "proof-random": lambda e: proof_tables.against(e, RANDOM),
    "proof-ranks": proof_tables.ranks,
    "proof-early": proof_tables.early,
    "proof-chosen": proof_tables.chosen,
    "proof-compute": proof_tables.compute,
    "equal-compute": lambda e: by_task(e, EQUAL, THREE, S3),
    "small-budget": lambda e: by_task(e, TIGHT, THREE[:2], TIGHT[0]),
    "portfolio": portfolio.portfolios,
    "decoder": decoder_table.scores_and_use,
    "decoder-rates": lambda e: by_setting(e, (decoder_table.RATED,), decoder_table.ARMS, decoder_table.RATES),
    "peft-rates": lambda e: by_setting(e, THREE[:1], (*IN_FP32, *PEFT), RATES),
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
