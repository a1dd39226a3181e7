"""The setup of a run: loads model and data, places candidates, and checks the settings against them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import version

import torch
from torch import nn

from core.model.backbone import Backbone, Pretrained, open_pretrained
from core.model.portable import restricted
from core.model.space import Placed, place
from core.model.targets import Plan, plan
from core.run.budgets import check_budget
from core.run.errors import SpecError
from core.run.events import Data as DataEvent
from core.run.events import Space, Started, read_events
from core.run.methods import METHODS
from core.run.rundir import RunDir
from core.run.spec import RunSpec
from core.run.structure import whole_space
from core.runtime import process_group
from core.runtime.checkpoint import Snapshot
from core.runtime.device import precision_name, resolve_device, resolve_precision
from core.runtime.log import log_line
from core.runtime.reporter import Reporter
from core.tasks import Task
from core.tasks.lengths import check_length
from core.training.data import Data, load_data
from core.training.firstpass import check_passes

PACKAGES = ("torch", "transformers", "datasets", "s3tui")


@dataclass(frozen=True)
class Setup:
    """Everything that a run needs to train: backbone, data, candidates, budget in parameters."""

    spec: RunSpec
    backbone: Backbone
    data: Data
    placed: list[Placed]
    budget: int | None
    precision: str  # of the backbone: `fp32` or `bf16`
    plan: Plan | None = None  # of an adapter of PEFT


def load(run: RunDir, spec: RunSpec, resumed: Snapshot | None, reporter: Reporter) -> Setup:
    """Load everything and check it, before anything is trained."""
    device = resolve_device(spec.device)
    attempts = [event for event in read_events(run.events)[0] if isinstance(event, Started)]
    dtype = _precision(spec, device, attempts if resumed else [])
    reporter.event(_started(spec, resumed, len(attempts) + 1, str(device), str(dtype).removeprefix("torch.")))

    model = open_pretrained(spec.model, spec.head)
    data = load_data(spec, model, device, lambda task: _check_length(task, model))
    _log_data(data.task, reporter)
    _check_parts(spec, len(data.splits["train"]))
    outputs = len(data.task.labels) or 1
    backbone = model.load(outputs, data.task.kind == "regression", device, dtype, spec.seed)
    _log_unused(spec.model, backbone.unused)
    check_passes(spec.model, backbone, data)
    placed = _candidates(spec, backbone.model) if METHODS[spec.method].is_of_candidates else []
    budget = _check_budget(spec, placed, backbone.parameters)
    targets = _plan(spec, backbone, budget)
    candidates = targets.candidates if targets else [p.candidate for p in placed]
    rows = [asdict(candidate) | {"name": candidate.name} for candidate in candidates]
    total = whole_space(candidates)
    reporter.event(Space(rows, total, backbone.parameters, backbone.head_parameters, budget), budget=budget)
    return Setup(spec, backbone, data, placed, budget, precision_name(dtype), targets)


def _candidates(spec: RunSpec, model: nn.Module) -> list[Placed]:
    return restricted(place(spec.space, model), model, spec.exportable, METHODS[spec.method].is_given)


def versions() -> dict[str, str]:
    """The versions of the packages that affect numerical results."""
    return {name: version(name) for name in PACKAGES}


def _precision(spec: RunSpec, device: torch.device, attempts: list[Started]) -> torch.dtype:
    """The type of the backbone. A run that goes on keeps that which it began with, on whatever machine it goes on.

    bf16 weights would swallow the small steps of full fine-tuning; deltas are fp32 beside a bf16 backbone.
    """
    if METHODS[spec.method].trains == "model":
        return torch.float32
    if spec.precision == "auto" and attempts:
        return torch.bfloat16 if attempts[-1].precision == "bfloat16" else torch.float32
    return resolve_precision(spec.precision, device)


def _started(spec: RunSpec, resumed: Snapshot | None, attempt: int, device: str, precision: str) -> Started:
    place = (resumed.phase, resumed.step) if resumed else ("", 0)
    return Started(spec.digest(), attempt, os.getpid(), device, precision, versions(), *place)


def _log_data(task: Task, reporter: Reporter) -> None:
    """Write the event `data`, and log how the files were read and which rows are left out."""
    rows: dict[str, int] = {split: len(examples) for split, examples in task.splits.items()}
    reporter.event(DataEvent(rows, list(task.labels), dict(task.left_out), list(task.notes)))
    if process_group.rank() == 0:
        for note in task.notes:
            log_line(note)
        for what, count in task.left_out.items():
            log_line(f"{count:,} rows are left out: they {what}")


def _log_unused(name: str, unused: tuple[str, ...]) -> None:
    """Log that tensors are unused; briefly, as most checkpoints hold the head of their pretraining."""
    if unused and process_group.rank() == 0:
        log_line(f"{len(unused):,} tensors in the files of {name} are not of this model and not used: {unused[0]}, ...")


def _check_length(task: Task, model: Pretrained) -> None:
    """Raise SpecError if texts are longer than the model's position table; the limit in a T5's tokenizer is ignored."""
    positions = getattr(model.config, "max_position_embeddings", None)
    check_length(task.max_length, model.name, positions, model.tokenizer.model_max_length, model.text_to_text)


def _check_parts(spec: RunSpec, rows: int) -> None:
    """Raise SpecError unless every batch has a row for each process."""
    sizes = (spec.search.batch_size, spec.search.validation_batch_size, spec.retrain.batch_size, rows // 2)
    least = min(size for size in sizes if size is not None)
    if least < process_group.count():
        raise SpecError(
            f"batches of {least} cannot be shared by {process_group.count()} processes",
            "raise batch_size, or ask for fewer",
        )


def _plan(spec: RunSpec, backbone: Backbone, budget: int | None) -> Plan | None:
    """How an adapter of PEFT spends the budget; None if the run trains none."""
    adapter = METHODS[spec.method].adapter
    if adapter is None or budget is None:
        return None
    return plan(adapter, spec.peft.targets, spec.peft.rank, budget, backbone.model)


def _check_budget(spec: RunSpec, placed: list[Placed], backbone_parameters: int) -> int | None:
    """The budget in parameters; raises SpecError if no structure, or every structure, would be within it."""
    if placed:
        candidates = [p.candidate for p in placed]
        smallest = min(candidate.parameters for candidate in candidates)
        check_budget(spec, smallest, whole_space(candidates), backbone_parameters)
    return spec.parameter_budget(backbone_parameters)
