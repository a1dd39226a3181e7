"""A run from its settings to its results: load, choose a structure, retrain it, write down what came out."""

from __future__ import annotations

import gc
from typing import Any

from core.model.backbone import Backbone
from core.model.deltafile import write_delta
from core.model.gated import GatedModel
from core.model.space import restore
from core.run.events import StructureChosen, score_of
from core.run.rundir import RunDir, json_bytes
from core.run.spec import FileTask, RunSpec
from core.run.structure import Structure
from core.runtime.checkpointer import Keeper
from core.runtime.reporter import Reporter
from core.training.retrain import retrain
from core.training.setup import Setup, load, versions
from core.training.trainee import FullTrainee, StructureTrainee, Trainee
from core.worker.choose_structure import find_structure


def run_all(run: RunDir, spec: RunSpec, keeper: Keeper, reporter: Reporter) -> dict[str, float]:
    """Do everything, or what a checkpoint leaves to do; gives the test metrics, the first of which is the score."""
    setup = load(run, spec, keeper.resumed, reporter)
    gc.freeze()  # what was loaded stays until the end, and need not be looked at
    gc.enable()
    keeper.stop.wait_for_steps()
    keeper.stopwatch.enter("search")
    structure = find_structure(setup, keeper, reporter)
    reporter.result(run.structure, json_bytes(structure.to_json()))
    reporter.event(StructureChosen(list(structure.selected), structure.parameters), parameters=structure.parameters)
    keeper.stopwatch.enter("retrain")
    trainee = _trainee(spec, structure, setup.backbone)
    validation, tested = retrain(setup, structure, trainee, keeper, reporter)
    reporter.result(run.delta, _delta_file(setup, structure, trainee))
    reporter.result(run.result, json_bytes(_result(setup, structure, validation, tested, keeper.stopwatch.seconds)))
    return tested


def about(spec: RunSpec) -> dict[str, Any]:
    """What identifies a run in its summary and its results."""
    return {"method": spec.method, "task": _task_name(spec), "model": spec.model, "seed": spec.seed}


def _trainee(spec: RunSpec, structure: Structure, backbone: Backbone) -> Trainee:
    if spec.method == "full":
        return FullTrainee(backbone.model)
    model = GatedModel(backbone.model, restore(structure.chosen, backbone.model), backbone.head)
    weights = model.initial_weights(spec.seed, spec.adapter_init == "paper")
    return StructureTrainee(model, weights, separate=spec.retrain.optimizer == "adafactor")


def _result(
    setup: Setup,
    structure: Structure,
    validation: dict[str, float],
    tested: dict[str, float],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The content of `result.json`."""
    spec, backbone, task = setup.spec, setup.backbone, setup.data.task
    return about(spec) | {
        "score": score_of(tested),
        "metric": next(iter(tested)),
        "metrics": tested,
        "validation": validation,
        "budget": setup.budget,
        "parameters": backbone.parameters if spec.method == "full" else structure.parameters,
        "rows": {split: len(examples) for split, examples in task.splits.items()},
        "left_out": dict(task.left_out),
        "head_parameters": backbone.head_parameters,
        "backbone_parameters": backbone.parameters,
        "seconds": {name: round(seconds[name], 3) for name in ("search", "retrain")}
        | {"total": round(sum(seconds.values()), 3)},
        "spec": spec.digest(),
        "versions": versions(),
    }


def _delta_file(setup: Setup, structure: Structure, trainee: Trainee) -> bytes:
    """What was trained, in the file that needs no other."""
    spec, labels = setup.spec, tuple(setup.data.task.labels)
    return write_delta(trainee.named(), spec.model, _task_name(spec), labels, structure.chosen)


def _task_name(spec: RunSpec) -> str:
    """The task as results call it: its name, or the path of its files."""
    return spec.task.path if isinstance(spec.task, FileTask) else spec.task.name
