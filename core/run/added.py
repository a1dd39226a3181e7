"""Keys of a run that came later: what the settings of a run mean that an earlier version wrote without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.run.methods import method_of

# What was done before there was a choice; it need not be what a suite gets today.
MEANT = {"step_scale": "shared"}
# Keys of `search` and `retrain` that were added, of which None is what was done before.
ADDED_TO_TRAINING = ("head_learning_rate",)
# Keys of `retrain` that were added, with the value that is what was done before.
ADDED_TO_RETRAIN = {"start": "scratch"}
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
# Settings tables that were added, which only their methods read.
ADDED_TABLES = ("saliency",)


def with_added(written: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a `spec.json`, with the keys that its version did not have yet."""
    task = written.get("task")
    of_files = {"task": ADDED_TO_FILES | task} if isinstance(task, dict) and "path" in task else {}
    retrain = written.get("retrain")
    of_retrain = {"retrain": ADDED_TO_RETRAIN | retrain} if isinstance(retrain, dict) else {}
    return MEANT | dict(written) | of_files | of_retrain


def not_in_digest(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The keys to leave out of the digest (as pydantic excludes them): added ones that change nothing.

    So the checkpoints and results of an earlier version are those of its settings as they are read today.
    """
    left_out: dict[str, Any] = {key: True for key, meant in MEANT.items() if spec[key] == meant}
    for part in ("search", "retrain"):
        left_out[part] = {key for key in ADDED_TO_TRAINING if spec[part][key] is None}
    left_out["retrain"] |= {key for key, before in ADDED_TO_RETRAIN.items() if spec["retrain"][key] == before}
    if "path" in spec["task"]:
        left_out["task"] = {key for key, before in ADDED_TO_FILES.items() if spec["task"][key] == before}
    own = method_of(spec["method"]).settings
    return left_out | {table: True for table in ADDED_TABLES if table != own}
