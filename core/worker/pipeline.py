"""The steps of a run: load model and data, choose a structure, retrain it, write the results."""

from __future__ import annotations

import gc
from typing import Any

from torch import Tensor

from core.adapters.prepare import adapter_of
from core.adapters.trainee import AdapterTrainee
from core.model.backbone import Backbone
from core.model.deltafile import Reading, write_delta
from core.model.gated import GatedModel
from core.model.quantised import method_of
from core.model.sites import config_of
from core.model.space import restore
from core.run.errors import SpecError
from core.run.events import STEPPED, StructureChosen, score_of
from core.run.limit import read_limit
from core.run.methods import METHODS
from core.run.rundir import RunDir, json_bytes
from core.run.spec import RunSpec
from core.run.structure import Structure
from core.run.task_spec import FileTask
from core.run.training import SaliencySettings
from core.run.verdict import verdict
from core.runtime.checkpointer import Checkpointer
from core.runtime.memory import keep_freed_memory
from core.runtime.reporter import Reporter
from core.tasks.batches import padding_of
from core.training.optim.step_scale import head_scale, scale_of
from core.training.retrain import retrain
from core.training.setup import Setup, load, versions
from core.training.tested import Tested
from core.training.trainee import FullTrainee, StructureTrainee, Trainee
from core.worker.choose_structure import Chosen, find_structure


def run_all(run: RunDir, spec: RunSpec, checkpointer: Checkpointer, reporter: Reporter) -> dict[str, float]:
    """Execute the run, or the rest after a checkpoint; returns the test metrics, of which the first is the score."""
    keep_freed_memory()
    setup = load(run, spec, checkpointer.resumed, reporter)
    gc.freeze()  # what was loaded stays until the end, so the collector need not scan it
    gc.enable()
    checkpointer.stop.wait_for_steps()
    checkpointer.stopwatch.enter("search")
    chosen, trainee = _prepared(run, setup, checkpointer, reporter)
    structure, is_chosen = chosen.structure, trainee.is_complete(0)
    if is_chosen:
        _report_structure(run, setup, structure, reporter, chosen.prunings_left)
    checkpointer.stopwatch.enter("retrain")
    validation, tested = retrain(setup, structure, trainee, checkpointer, reporter, read_limit(run))
    most = trainee.most if isinstance(trainee, AdapterTrainee) else _trained(setup, structure)
    if isinstance(trainee, AdapterTrainee) and not is_chosen:
        structure = trainee.structure()
        _report_structure(run, setup, structure, reporter)
    reporter.result(run.delta, _delta_file(setup, structure, trainee))
    reporter.result(run.predictions, tested.parquet())
    seconds = checkpointer.stopwatch.seconds
    result = _result(setup, structure, validation, tested, seconds) | _shared(chosen)
    reporter.result(run.result, json_bytes(result | {"most_parameters": most}))
    return tested.metrics


def _prepared(run: RunDir, setup: Setup, checkpointer: Checkpointer, reporter: Reporter) -> tuple[Chosen, Trainee]:
    """The structure, as far as it is chosen before training, and what is trained."""
    if setup.plan is not None:
        adapter = adapter_of(setup, checkpointer)
        return Chosen(adapter.structure()), adapter
    chosen = find_structure(run, setup, checkpointer, reporter)
    return chosen, _trainee(setup.spec, chosen, setup.backbone)


def _report_structure(
    run: RunDir, setup: Setup, structure: Structure, reporter: Reporter, prunings_left: int | None = None
) -> None:
    """Write the structure, and log the verdict on the search that has found it."""
    reporter.result(run.structure, json_bytes(structure.to_json()))
    event = StructureChosen(list(structure.selected), structure.parameters, prunings_left)
    reporter.event(event, parameters=structure.parameters)
    row = METHODS[setup.spec.method]
    found = verdict(structure, row.by, prunings_left) if row.searches and row.gates else None
    if found is not None:
        reporter.note(f"search {found}")


def about(spec: RunSpec) -> dict[str, Any]:
    """The fields that identify a run in its summary and its result."""
    return {"method": spec.method, "task": _task_name(spec), "model": spec.model, "seed": spec.seed}


def _shared(chosen: Chosen) -> dict[str, Any]:
    """What `result.json` says of a search that another run has done: its time is in no time of this run."""
    if chosen.shared is None:
        return {}
    return {"search_from": chosen.shared.taken_from, "shared_search_seconds": chosen.shared.seconds}


def _trainee(spec: RunSpec, chosen: Chosen, backbone: Backbone) -> Trainee:
    if METHODS[spec.method].trains == "model":
        return FullTrainee(backbone.model, backbone.head, head_scale(spec.retrain))
    model = GatedModel(backbone.model, restore(chosen.structure.chosen, backbone.model), backbone.head)
    weights = model.initial_weights(spec.seed, spec.adapter_init == "paper")
    if chosen.weights and (spec.retrain.start == "searched" or not METHODS[spec.method].learns):
        weights = model.from_named(_fitting(chosen, model.named(weights)))
    scale = scale_of(model, spec.step_scale, spec.retrain)
    return StructureTrainee(model, weights, scale, separate=spec.retrain.optimizer == "adafactor")


def _fitting(chosen: Chosen, initial: dict[str, Tensor]) -> dict[str, Tensor]:
    """First weights, those of a search in place of initial ones; raises SpecError if they are of another task."""
    for name, tensor in sorted(chosen.weights.items()):
        if name not in initial or initial[name].shape != tensor.shape:
            source = chosen.shared.taken_from if chosen.shared else "the search"
            here = f"{list(initial[name].shape)} here" if name in initial else "not there here"
            raise SpecError(
                f"the weights of {source} do not fit: {name} is {list(tensor.shape)} there and {here}",
                'set retrain.start = "scratch", which takes the structure alone',
            )
    return initial | dict(chosen.weights)


def _result(
    setup: Setup,
    structure: Structure,
    validation: dict[str, float],
    tested: Tested,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The content of `result.json`."""
    spec, backbone, task = setup.spec, setup.backbone, setup.data.task
    return about(spec) | {
        "score": score_of(tested.metrics),
        "metric": next(iter(tested.metrics)),
        "metrics": tested.metrics,
        **tested.facts(),
        "validation": validation,
        "budget": setup.budget,
        "parameters": _trained(setup, structure),
        "splits": {split: len(examples) for split, examples in task.splits.items()},
        "left_out": dict(task.left_out),
        "head_parameters": backbone.head_parameters,
        "backbone_parameters": backbone.parameters,
        "precision": setup.precision,
        "seconds": {name: round(seconds[name], 3) for name in STEPPED if name in seconds}
        | {"total": round(sum(seconds.values()), 3)},
        **_start(spec),
        "spec": spec.digest(),
        "versions": versions(),
    }


def _start(spec: RunSpec) -> dict[str, str]:
    """How LoRAs have started, where the method can give them a start."""
    table = METHODS[spec.method].settings
    own = getattr(spec, table) if table else None
    return {"lora_start": own.lora_start} if isinstance(own, SaliencySettings) else {}


def _trained(setup: Setup, structure: Structure) -> int:
    """How many parameters were trained, those of a new head apart."""
    is_whole = METHODS[setup.spec.method].trains == "model"
    return setup.backbone.parameters if is_whole else structure.parameters


def _delta_file(setup: Setup, structure: Structure, trainee: Trainee) -> bytes:
    """The content of `delta.safetensors`: the trained tensors with their description."""
    spec, labels = setup.spec, tuple(setup.data.task.labels)
    adapter = trainee.facts().get("adapter")
    return write_delta(
        trainee.named(), spec.model, _task_name(spec), labels, structure.chosen, adapter, _reading(setup)
    )


def _reading(setup: Setup) -> Reading:
    """How rows were read, for whoever loads what was trained."""
    backbone = setup.backbone
    is_headed_decoder = backbone.is_decoder and not backbone.text_to_text
    padding = padding_of(backbone.tokenizer) if is_headed_decoder else None
    return Reading(padding, setup.data.task.prompt, setup.spec.trust_remote_code, method_of(config_of(backbone.model)))


def _task_name(spec: RunSpec) -> str:
    """The task's name in results: the name of a named task, or the path of its files."""
    return spec.task.path if isinstance(spec.task, FileTask) else spec.task.name
