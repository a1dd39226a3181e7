"""Keys of a run that came later: what the settings of a run mean that an earlier version wrote without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.run.methods import method_of
from core.run.prompts import PAPER

# What was done before there was a choice; it need not be what a suite gets today.
MEANT = {
    "step_scale": "shared",
    "exportable": "any",
    "head": False,
    "prompt": PAPER,
    "shots": 0,
    "on_long_rows": "error",
}
# Keys of `search` and `retrain` that were added, of which None is what was done before.
ADDED_TO_TRAINING = ("head_learning_rate",)
# Keys of a task from files that were added, with the value that is what was done before.
ADDED_TO_FILES = {
    "delimiter": None,
    "encoding": None,
    "quoting": "auto",
    "on_bad_rows": "error",
    "fold_labels": False,
    "class_weights": "none",
    "score": "auto",
}
# Keys of other settings tables that were added, with the value that is what was done before.
ADDED_TO_TABLES = {"saliency": {"lora_start": "random"}, "retrain": {"start": "scratch"}}
# Settings tables that were added, which only their methods read.
ADDED_TABLES = ("saliency", "peft")
# Those of methods that were there before, with what is left out because it is what was done before.
ADDED_TO_OLD_METHODS = {"fixed": {"order": "last"}}


def with_added(written: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a `spec.json`, with the keys that its version did not have yet."""
    task = written.get("task")
    of_files = {"task": ADDED_TO_FILES | task} if isinstance(task, dict) and "path" in task else {}
    of_tables = {
        name: keys | written[name] for name, keys in ADDED_TO_TABLES.items() if isinstance(written.get(name), dict)
    }
    return MEANT | dict(written) | of_files | of_tables


def not_in_digest(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The keys to leave out of the digest (as pydantic excludes them): added ones that change nothing.

    So the checkpoints and results of an earlier version are those of its settings as they are read today.
    """
    left_out: dict[str, Any] = {key: True for key, meant in MEANT.items() if spec[key] == meant}
    for part in ("search", "retrain"):
        left_out[part] = {key for key in ADDED_TO_TRAINING if spec[part][key] is None}
    if spec["search"]["selection"] != "sampled":  # it came with its key
        left_out["search"].add("selection_samples")
    if "path" in spec["task"]:
        left_out["task"] = {key for key, before in ADDED_TO_FILES.items() if spec["task"][key] == before}
    own = method_of(spec["method"]).settings
    left_out |= {table: True for table, before in ADDED_TO_OLD_METHODS.items() if table != own or spec[table] == before}
    for table, added in ADDED_TO_TABLES.items():
        left_out.setdefault(table, set()).update(key for key, before in added.items() if spec[table][key] == before)
    return left_out | {table: True for table in ADDED_TABLES if table != own}
