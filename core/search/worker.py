"""A whole run, from its spec to its results."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from importlib.metadata import version
from typing import Any, NoReturn

import torch
from pydantic import ValidationError
from safetensors.torch import save

from core.model.backbone import Backbone, load_backbone
from core.model.gated import GatedModel
from core.model.space import Placed, place, restore
from core.run.errors import EXIT_FAILED, EXIT_OK, RunDirError, S3Error, SpecError
from core.run.events import Failed, Finished, Phase, Space, Started, StructureChosen, read_events
from core.run.rundir import RunDir, read_json, write_bytes, write_json
from core.run.spec import FileTask, RunSpec
from core.run.structure import Candidate, Structure, random_selection, select
from core.search.data import Data, encode
from core.search.device import resolve_device, resolve_precision
from core.search.reporter import Reporter
from core.search.retraining import FullTrainee, StructureTrainee, Trainee, retrain
from core.search.searching import prepare, search
from core.tasks import load_task

VERSIONS = ("torch", "transformers", "datasets", "s3tui")


class StoppedError(S3Error):
    """The worker was asked to stop."""

    kind = "stopped"


def execute(run: RunDir) -> int:
    """Do the run of a directory; gives the exit code. Whatever happens, the last event says how it ended."""
    spec = read_spec(run)
    reporter = Reporter(run, _about(spec))
    signal.signal(signal.SIGTERM, _stop)
    try:
        score, metrics = _run(run, spec, reporter)
    except S3Error as error:
        print(f"{error.kind}: {error}", file=sys.stderr)
        reporter.close(Failed(error.kind, error.message, error.hint), status="failed", error=error.message)
        return error.exit_code
    except BaseException as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}".split("\n")[0]
        kind = "out-of-memory" if isinstance(error, torch.OutOfMemoryError | MemoryError) else "crash"
        hint = f"the whole story is in {run.log}"
        reporter.close(Failed(kind, message, hint), status="failed", error=message)
        return EXIT_FAILED
    reporter.close(Finished(score, metrics, reporter.seconds), status="finished", score=score)
    return EXIT_OK


def read_spec(run: RunDir) -> RunSpec:
    """The settings of a run; raises RunDirError where they are missing or damaged."""
    data = read_json(run.spec)
    try:
        return RunSpec.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunDirError(f"{run.spec} is damaged", f"{where}: {first['msg']}") from None


def _stop(signum: int, frame: Any) -> NoReturn:
    raise StoppedError("stopped by a signal", "start it again to go on")


def _about(spec: RunSpec) -> dict[str, Any]:
    return {"method": spec.method, "task": task_name(spec), "model": spec.model, "seed": spec.seed, "step": 0}


def task_name(spec: RunSpec) -> str:
    """The task as results call it: its name, or the path of its files."""
    return spec.task.path if isinstance(spec.task, FileTask) else spec.task.name


def _run(run: RunDir, spec: RunSpec, reporter: Reporter) -> tuple[float, dict[str, float]]:
    device = resolve_device(spec.device)
    dtype = resolve_precision(spec.precision, device)
    attempt = sum(isinstance(e, Started) for e in read_events(run.events)[0]) + 1
    versions = {name: version(name) for name in VERSIONS}
    reporter.event(
        Started(spec.digest(), attempt, os.getpid(), str(device), str(dtype).removeprefix("torch."), versions)
    )
    task = load_task(spec.task, spec.data_seed)
    regression = task.kind == "regression"
    backbone = load_backbone(spec.model, 1 if regression else len(task.labels), regression, device, dtype, spec.seed)
    data = encode(task, backbone, device)

    placed = [] if spec.method == "full" else place(spec.space, backbone.model)
    budget = check_budget(spec, placed, backbone.parameters)
    _report_space(spec, placed, backbone, budget, reporter)
    began = time.monotonic()
    structure = find_structure(spec, placed, budget, backbone, data, reporter)
    write_json(run.structure, structure.to_json())
    reporter.event(StructureChosen(list(structure.selected), structure.parameters), parameters=structure.parameters)
    searched = time.monotonic()

    trainee = _trainee(spec, structure, backbone)
    validation, tested = retrain(spec, trainee, backbone, data, reporter)
    write_bytes(run.delta, _delta_file(spec, structure, trainee))
    seconds = {"search": searched - began, "retrain": time.monotonic() - searched, "total": reporter.seconds}
    parameters = backbone.parameters if spec.method == "full" else structure.parameters
    result = _about(spec) | {
        "score": next(iter(tested.values())),
        "metric": next(iter(tested)),
        "metrics": tested,
        "validation": validation,
        "budget": budget,
        "parameters": parameters,
        "head_parameters": sum(backbone.model.get_parameter(n).numel() for n in backbone.head),
        "backbone_parameters": backbone.parameters,
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
        "spec": spec.digest(),
        "versions": versions,
    }
    del result["step"]
    write_json(run.result, result)
    return result["score"], tested


def check_budget(spec: RunSpec, placed: list[Placed], backbone_parameters: int) -> int | None:
    """The budget in parameters; raises SpecError where no structure, or every one, would be under it."""
    budget = spec.parameter_budget(backbone_parameters)
    if budget is None or not placed:
        return budget
    counts = [p.candidate.parameters for p in placed]
    if budget < min(counts):
        raise SpecError(
            f"the budget of {budget:,} parameters is below the smallest candidate ({min(counts):,})",
            f"raise it, to {min(counts) / backbone_parameters:.1e} of the backbone or more",
        )
    if budget > sum(counts) and spec.method in ("s3", "random"):
        raise SpecError(
            f"the budget of {budget:,} parameters is above the whole space ({sum(counts):,})",
            "lower it, or train the whole space with method = 'fixed'",
        )
    return budget


def find_structure(
    spec: RunSpec, placed: list[Placed], budget: int | None, backbone: Backbone, data: Data, reporter: Reporter
) -> Structure:
    """The structure of a run by its method: searched, drawn, or given."""
    candidates = tuple(p.candidate for p in placed)
    counts = [c.parameters for c in candidates]
    if spec.method == "s3" and budget is not None:
        model = GatedModel(backbone.model, placed, backbone.head)
        problem = prepare(spec, model, budget, len(data.splits["train"]) // 2)
        total = problem.total_steps
        reporter.event(Phase("search", total), phase="search", step=0, total=total)
        structure = search(spec, problem, backbone, data, reporter)
        model.detach()
        return structure
    if spec.method == "random" and budget is not None:
        selected = random_selection(counts, budget, spec.seed)
    else:
        selected = last_layers_first(candidates, budget)
    p = tuple(float(i in set(selected)) for i in range(len(candidates)))
    return Structure(candidates, p, selected, budget, spec.model)


def last_layers_first(candidates: tuple[Candidate, ...], budget: int | None) -> tuple[int, ...]:
    """The whole space, or where it exceeds the budget as much as fits, from the last layer down."""
    counts = [c.parameters for c in candidates]
    depth = [(c.stack == "decoder", math_layer(c)) for c in candidates]
    order = sorted(range(len(candidates)), key=lambda i: depth[i], reverse=True)
    rank = {i: -float(position) for position, i in enumerate(order)}
    limit = sum(counts) if budget is None else budget
    return select([rank[i] for i in range(len(candidates))], counts, limit, "first-fit")


def math_layer(candidate: Candidate) -> float:
    """The layer; what lies outside the layers (a final normalisation, a head) comes after the last."""
    return float("inf") if candidate.layer is None else candidate.layer


def _report_space(
    spec: RunSpec, placed: list[Placed], backbone: Backbone, budget: int | None, reporter: Reporter
) -> None:
    head = sum(backbone.model.get_parameter(n).numel() for n in backbone.head)
    rows = [vars(p.candidate) | {"name": p.candidate.name} for p in placed]
    total = sum(p.candidate.parameters for p in placed)
    reporter.event(Space(rows, total, backbone.parameters, head, budget), budget=budget)


def _trainee(spec: RunSpec, structure: Structure, backbone: Backbone) -> Trainee:
    if spec.method == "full":
        return FullTrainee(backbone.model)
    model = GatedModel(backbone.model, restore(structure.chosen, backbone.model), backbone.head)
    return StructureTrainee(model, model.initial_weights(spec.seed, spec.adapter_init == "paper"))


def _delta_file(spec: RunSpec, structure: Structure, trainee: Trainee) -> bytes:
    """What was trained, as safetensors; the metadata say what it is, so that the file needs no other."""
    about = {
        "format": "s3tui-delta",
        "version": "1",
        "model": spec.model,
        "task": task_name(spec),
        "candidates": json.dumps([vars(c) for c in structure.chosen]),
    }
    data: bytes = save({name: tensor.cpu().contiguous() for name, tensor in trainee.named().items()}, metadata=about)
    return data
