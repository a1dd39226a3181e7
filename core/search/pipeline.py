"""A run from its settings to its results: load, choose a structure, retrain it, write down what came out."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from safetensors.torch import save

from core.model.backbone import Backbone, load_backbone
from core.model.gated import GatedModel
from core.model.space import Placed, place, restore
from core.run.errors import SpecError
from core.run.events import Space, Started, StructureChosen, read_events
from core.run.rundir import RunDir, write_bytes, write_json
from core.run.spec import FileTask, RunSpec
from core.run.structure import Structure
from core.search.choosing import check_budget, find_structure
from core.search.data import Data, encode
from core.search.device import resolve_device, resolve_precision
from core.search.reporter import Reporter
from core.search.retraining import FullTrainee, StructureTrainee, Trainee, retrain
from core.tasks import Task, load_task

PACKAGES = ("torch", "transformers", "datasets", "s3tui")


@dataclass(frozen=True)
class Setup:
    """What a run works with."""

    spec: RunSpec
    backbone: Backbone
    data: Data
    placed: list[Placed]
    budget: int | None


def run_all(run: RunDir, spec: RunSpec, reporter: Reporter) -> dict[str, float]:
    """Do everything; gives the test metrics, the first of which is the score."""
    setup = _load(run, spec, reporter)
    began = time.monotonic()
    structure = find_structure(spec, setup.placed, setup.budget, setup.backbone, setup.data, reporter)
    write_json(run.structure, structure.to_json())
    reporter.event(StructureChosen(list(structure.selected), structure.parameters), parameters=structure.parameters)
    chosen = time.monotonic()
    trainee = _trainee(spec, structure, setup.backbone)
    validation, tested = retrain(spec, trainee, setup.backbone, setup.data, reporter)
    seconds = {"search": chosen - began, "retrain": time.monotonic() - chosen, "total": reporter.seconds}
    write_bytes(run.delta, _delta_file(spec, structure, trainee))
    write_json(run.result, _result(setup, structure, validation, tested, seconds))
    return tested


def about(spec: RunSpec) -> dict[str, Any]:
    """What identifies a run in its summary and its results."""
    return {"method": spec.method, "task": _task_name(spec), "model": spec.model, "seed": spec.seed}


def _load(run: RunDir, spec: RunSpec, reporter: Reporter) -> Setup:
    """Everything that can be wrong with the settings is found here, before anything is trained."""
    device = resolve_device(spec.device)
    # bf16 weights would swallow the small steps of full fine-tuning; deltas are fp32 beside a bf16 backbone.
    dtype = torch.float32 if spec.method == "full" else resolve_precision(spec.precision, device)
    attempt = 1 + sum(isinstance(event, Started) for event in read_events(run.events)[0])
    precision = str(dtype).removeprefix("torch.")
    reporter.event(Started(spec.digest(), attempt, os.getpid(), str(device), precision, _versions()))

    task = load_task(spec.task, spec.data_seed)
    regression = task.kind == "regression"
    outputs = len(task.labels) or 1
    backbone = load_backbone(spec.model, outputs, regression, device, dtype, spec.seed)
    _check_length(spec, task, backbone)
    placed = [] if spec.method == "full" else place(spec.space, backbone.model)
    budget = check_budget(spec, placed, backbone.parameters)
    rows = [vars(p.candidate) | {"name": p.candidate.name} for p in placed]
    total = sum(p.candidate.parameters for p in placed)
    reporter.event(Space(rows, total, backbone.parameters, backbone.head_parameters, budget), budget=budget)
    return Setup(spec, backbone, encode(task, backbone, device, spec.evaluation), placed, budget)


def _check_length(spec: RunSpec, task: Task, backbone: Backbone) -> None:
    """An encoder with a table of positions cannot read beyond it."""
    positions = getattr(backbone.model.config, "max_position_embeddings", math.inf)
    limit = min(backbone.tokenizer.model_max_length, positions)
    if not backbone.text_to_text and task.max_length > limit:
        raise SpecError(f"task.max_length = {task.max_length}, but {spec.model} reads {limit} tokens", "lower it")


def _trainee(spec: RunSpec, structure: Structure, backbone: Backbone) -> Trainee:
    if spec.method == "full":
        return FullTrainee(backbone.model)
    model = GatedModel(backbone.model, restore(structure.chosen, backbone.model), backbone.head)
    return StructureTrainee(model, model.initial_weights(spec.seed, spec.adapter_init == "paper"))


def _result(
    setup: Setup,
    structure: Structure,
    validation: dict[str, float],
    tested: dict[str, float],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The content of `result.json`."""
    spec, backbone = setup.spec, setup.backbone
    return about(spec) | {
        "score": next(iter(tested.values())),
        "metric": next(iter(tested)),
        "metrics": tested,
        "validation": validation,
        "budget": setup.budget,
        "parameters": backbone.parameters if spec.method == "full" else structure.parameters,
        "head_parameters": backbone.head_parameters,
        "backbone_parameters": backbone.parameters,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "spec": spec.digest(),
        "versions": _versions(),
    }


def _delta_file(spec: RunSpec, structure: Structure, trainee: Trainee) -> bytes:
    """What was trained, as safetensors; the metadata say what it is, so that the file needs no other.

    All of it is under one key, as safetensors writes several in no fixed order, and equal runs make equal files.
    """
    description = {
        "version": 1,
        "model": spec.model,
        "task": _task_name(spec),
        "candidates": [vars(c) for c in structure.chosen],
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in trainee.named().items()}
    data: bytes = save(tensors, metadata={"s3tui": json.dumps(description)})
    return data


def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def _task_name(spec: RunSpec) -> str:
    """The task as results call it: its name, or the path of its files."""
    return spec.task.path if isinstance(spec.task, FileTask) else spec.task.name
