"""Writes the suite of a race for a data file: searched, scored, random and manual structures, at two rates each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.run.errors import UsageError
from s3tui.suite.own_data import name_of, task_text
from s3tui.suite.race_table import seconds_of

TEXT = """\
# A race: which parameters to train for these data? Written by s3tui race; docs/race.md explains it.

[suite]
name = {name}

[experiment.best]
task = {task}
model = {model}
space = "mix-low-rank"            # what can be chosen from
budget = {budget}
race = {{ rungs = [100, 300, 900], keep = 0.5, confirm = 3, final = 2{time} }}
retrain = {{ batch_size = 16, eval_every = 50, head_learning_rate = 1.5e-2, warmup_steps = 30 }}

[experiment.best.matrix.variant]
searched = {{}}
scored = {{ method = "saliency", saliency.criterion = "fisher" }}
by-chance = {{ method = "random" }}
lora = {{ method = "fixed", space = "lora-q-v", fixed.order = "even" }}

[experiment.best.matrix]
retrain.learning_rate = [5e-3, 1e-2]

[space.lora-q-v]                  # the largest rank with which the budget holds
"attn.{{q,v,qkv}}" = ["lora(rank=[1, 2, 4, 8, 16])"]

[experiment.best.search]          # as in the default suite, docs/default-suite.md
max_steps = 150
batch_size = 16
eval_every = 75
learning_rate = 1e-2
head_learning_rate = 1.5e-2
warmup_steps = 0.1
bilevel = false
gates = "hard"
"""


def budget_of(text: str) -> float | int:
    """A budget such as `0.04%` or `9000`; raises UsageError if it is none."""
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%")) / (100 if share else 1)
    except ValueError:
        value = 0.0
    if not 0 < value <= 10**9 or (share and value >= 1) or (value >= 1 and value != int(value)):
        raise UsageError(f"--budget {text!r} is no budget", "give a share of the model, as 0.04%, or a whole number")
    return int(value) if value >= 1 else float(f"{value:.12g}")


def check_time(text: str | None) -> None:
    """Raise UsageError if this is no time."""
    if text is not None and not seconds_of(text):
        raise UsageError(f"--time {text!r} is no time", "give one as 30m, 2h or 1h30m")


def suite_text(keys: dict[str, Any], file: Path, budget: float | int, time: str | None, model: str) -> str:
    """The suite with this task, budget and model; without a `time` the race goes to its end."""
    return TEXT.format(
        name=json.dumps(f"{name_of(Path(keys['path']))}-race"),
        task=task_text(keys, file),
        model=json.dumps(model),
        budget=budget,
        time=f", budget = {json.dumps(time)}" if time else "",
    )
