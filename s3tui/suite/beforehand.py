"""Checks the data and the budgets of a suite's runs before any worker starts.

Child processes read the data and build the models without weights, so that torch is not loaded here.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from core.run.budgets import check_budget
from core.run.errors import S3Error
from core.run.methods import method_of
from core.run.modelfiles import gguf_file, model_file
from core.run.reader import Reader
from core.run.spec import RunSpec
from core.run.task_spec import FileTask
from core.run.tasks import TASKS
from s3tui.suite.load import PlannedRun
from s3tui.suite.preview import key_of, sizes
from s3tui.suite.size import Size
from s3tui.system.child import PYTHON, surroundings

SHOWN = 3  # experiments named in a line

Look = dict[str, Any]


@dataclass(frozen=True)
class Beforehand:
    """The summary of each task's data and of each space, and lines for people.

    `problems` would make runs fail, `warnings` may affect results; `notes` say what was detected or not checked.
    """

    tasks: tuple[Look, ...]
    spaces: tuple[Look, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def examine(runs: Sequence[PlannedRun]) -> Beforehand:
    """Check the data of the runs, and their budgets on models that are on this machine."""
    here, away = _models(runs)
    with ThreadPoolExecutor(1) as pool:
        measured = pool.submit(sizes, [run.spec for run in runs if run.spec.model in here])
        looks = data_of(runs)
    found = {kind: _lines(looks, kind) for kind in ("problems", "warnings", "notes")}
    found["problems"] += _budgets(runs, measured.result())
    found["notes"] += _unknown(runs, away, measured.result())
    spaces = tuple(_spaces(runs, measured.result()))
    return Beforehand(
        tuple(looks), spaces, *(tuple(dict.fromkeys(found[kind])) for kind in ("problems", "warnings", "notes"))
    )


def problems_of_data(runs: Sequence[PlannedRun]) -> list[str]:
    """What is wrong with the data that the runs read; nothing where that cannot be checked."""
    try:
        return _lines(data_of(runs), "problems")
    except (S3Error, OSError):
        return []


def problems_of_files(runs: Sequence[PlannedRun]) -> list[str]:
    """The same for the user's own files alone."""
    return problems_of_data([run for run in runs if isinstance(run.spec.task, FileTask)])


def _lines(looks: Sequence[Look], kind: str) -> list[str]:
    """The problems, warnings or notes of tasks, each with its experiments, and the task where these have several."""
    used = Counter(itertools.chain.from_iterable(look["experiments"] for look in looks))
    lines = []
    for look in looks:
        is_one_of_several = any(used[name] > 1 for name in look["experiments"])
        task = f"task {look['task']}" if is_one_of_several else "task"
        lines += [f"{task} of {_named(look['experiments'])}: {line}" for line in look[kind]]
    return lines


def data_of(runs: Sequence[PlannedRun]) -> list[Look]:
    """The summary of each task, `experiments` being those that use it.

    Tasks of other packages are left out: what loads them may do anything, and take as long as it likes.
    """
    asked: dict[str, dict[str, Any]] = {}
    for run in runs:
        spec = run.spec
        if not isinstance(spec.task, FileTask) and spec.task.name not in TASKS.own:
            continue
        task = {"task": spec.task.model_dump(mode="json"), "data_seed": spec.data_seed}
        one = asked.setdefault(_key(run), task | {"readers": [], "experiments": []})
        for key, value in (("readers", Reader.of(spec).to_json()), ("experiments", run.name.partition("/")[0])):
            if value not in one[key]:
                one[key].append(value)
    looks = looked(list(asked.values())) if asked else []
    named = [{"key": key, "task": _name(one["task"]), "experiments": one["experiments"]} for key, one in asked.items()]
    return [one | look for one, look in zip(named, looks, strict=True)]


def by_run(runs: Sequence[PlannedRun]) -> dict[str, Look]:
    """The summaries by names of runs; empty if the data cannot be checked, which must not prevent a start."""
    try:
        looks = data_of(runs)
    except (S3Error, OSError):
        return {}
    seen = {look["key"]: look for look in looks}
    return {run.name: seen[key] for run in runs if (key := _key(run)) in seen}


def looked(asked: Sequence[dict[str, Any]]) -> list[Look]:
    """The answers of `core.preview` for tasks or columns of files."""
    child = subprocess.run(
        [*PYTHON, "-m", "core.preview"],
        input=json.dumps(asked),
        capture_output=True,
        check=False,
        text=True,
        **surroundings({"HF_HUB_OFFLINE": "1"}),
    )
    try:
        found: list[Look] = json.loads(child.stdout)
    except ValueError:
        last = child.stderr.strip().rpartition("\n")[2] or f"it ended with {child.returncode}"
        raise S3Error("the data cannot be checked", last) from None
    return found


def _models(runs: Iterable[PlannedRun]) -> tuple[set[str], dict[str, str]]:
    """The models whose configuration is on this machine, and why the others are not checked."""
    here, away = set[str](), dict[str, str]()
    for model in dict.fromkeys(run.spec.model for run in runs if method_of(run.spec.method).has_space):
        try:
            found = gguf_file(model) or model_file(model, "config.json")
        except S3Error as error:
            away[model] = str(error)
            continue
        if found:
            here.add(model)
        else:
            away[model] = "it is not on this machine yet"
    return here, away


def _budgets(runs: Sequence[PlannedRun], measured: dict[str, Size]) -> Iterator[str]:
    """The problems of spaces and budgets, each once with its experiments."""
    found: dict[str, list[str]] = {}
    for run in runs:
        problem = misfit(run.spec, measured.get(key_of(run.spec)))
        if problem:
            found.setdefault(problem, []).append(run.name.partition("/")[0])
    for problem, experiments in found.items():
        yield f"space and budget of {_named(list(dict.fromkeys(experiments)))}: {problem}"


def misfit(spec: RunSpec, size: Size | None) -> str:
    """Why no structure fits the budget; empty if one does, or the model is not known."""
    if size is None or not method_of(spec.method).has_space or (size.problem and not size.misfit):
        return ""
    if size.misfit:
        return size.problem
    try:
        if size.candidates:
            check_budget(spec, size.smallest, size.parameters, size.backbone)
    except S3Error as error:
        return str(error)
    return ""


def _unknown(runs: Sequence[PlannedRun], away: dict[str, str], measured: dict[str, Size]) -> Iterator[str]:
    """Which models could not be checked, and why."""
    for run in runs:
        size = measured.get(key_of(run.spec))
        if size and size.problem and not size.misfit:
            away = away | {run.spec.model: size.problem}
    for model, why in away.items():
        yield f"spaces and budgets on {model} are not checked: {why}"


def _spaces(runs: Sequence[PlannedRun], measured: dict[str, Size]) -> Iterator[Look]:
    """The size of each space on its model, the experiments that use it, and what each export of it cannot hold."""
    users: dict[str, list[PlannedRun]] = {}
    for run in runs:
        if method_of(run.spec.method).has_space:
            users.setdefault(key_of(run.spec), []).append(run)
    for key, those in users.items():
        spec, size = those[0].spec, measured.get(key)
        if size is not None and not size.problem:
            experiments = list(dict.fromkeys(run.name.partition("/")[0] for run in those))
            about = {"space": spec.space.name, "model": spec.model, "experiments": experiments}
            counted = {"candidates": size.candidates, "parameters": size.parameters}
            yield about | {"exportable": spec.exportable} | counted | {"exports": size.exports}


def _key(run: PlannedRun) -> str:
    """A key for the data of a run."""
    return f"{run.spec.data_seed} {run.spec.task.model_dump_json()}"


def _name(task: dict[str, Any]) -> str:
    return str(task.get("name") or task.get("path"))


def _named(experiments: Sequence[str]) -> str:
    """The names of experiments in a line."""
    more = len(experiments) - SHOWN
    return ", ".join(experiments[:SHOWN]) + (f" and {more} more" if more > 0 else "")
