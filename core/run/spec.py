"""RunSpec: all that defines one run, validated and fully resolved. Two equal specs are the same run.

The descriptions of the fields are the reference of the TOML (docs/toml.md is generated from them).
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from core.run.spaces import SpaceSpec

# What the paper's code does where ours differs; `preset = "paper"` stands for these values.
PAPER_SEARCH = {
    "hypergradient": "central-difference",
    "virtual_scaling": "paper",
    "shift_gradient": "paper",
    "shared_dropout": False,
    "clip_virtual": False,
    "selection": "first-fit",
    "gates": "soft",
    "clip": 2.0,
    "weight_decay": 0.0,
}

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Frozen(BaseModel):
    """Immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NamedTask(Frozen):
    """A task that comes by name."""

    name: str = Field(description="The task: `icd10-chapter`.")
    per_class: Positive = Field(
        default=300, description="At most so many texts of each class (`icd10-chapter`), over all splits."
    )
    max_length: Positive = Field(default=32, description="Longer texts are cut to so many tokens.")


class FileTask(Frozen):
    """A task from files of one's own: a file, or a folder with train, validation and test files."""

    path: str = Field(
        description="A jsonl, csv, tsv or parquet file, which is split 80/10/10, or a folder with "
        "`train`, `validation` and, if there is one, `test` files of these kinds."
    )
    text: tuple[str, ...] = Field(min_length=1, description="The columns that hold the text, in order.")
    label: str = Field(description="The column that holds the label.")
    kind: Literal["auto", "classification", "regression"] = Field(
        default="auto", description="`auto` takes labels with a decimal point as numbers to predict."
    )
    labels: tuple[str, ...] | None = Field(
        default=None, description="The label set, in order; by default the labels of the training data, sorted."
    )
    max_length: Positive = Field(default=128, description="Longer texts are cut to so many tokens.")

    @field_validator("text", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


def _task_kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Frozen) else ()
    return "file" if "path" in keys else "named"


TaskSpec = Annotated[Annotated[NamedTask, Tag("named")] | Annotated[FileTask, Tag("file")], Discriminator(_task_kind)]


class Training(Frozen):
    """What searching and retraining have in common."""

    max_steps: Positive | None = Field(default=None, description="Number of steps; this or `epochs`.")
    epochs: Rate | None = Field(default=None, description="Number of passes over the training data.")
    batch_size: Positive = Field(default=16, description="Examples of one training batch.")
    eval_every: Positive = Field(default=100, description="Steps between two evaluations.")
    learning_rate: Rate = Field(default=3e-4, description="Peak learning rate of the delta weights (AdamW).")
    weight_decay: float = Field(default=0.0, ge=0, description="Decoupled weight decay of the delta weights.")
    warmup_steps: NotNegative = Field(
        default=0, description="Steps over which the learning rate rises from 0, before its linear decay to 0."
    )
    clip: Rate = Field(default=2.0, description="Largest norm of a gradient; longer ones are scaled down to it.")

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if (self.max_steps is None) == (self.epochs is None):
            raise ValueError("give either max_steps or epochs")
        return self


class SearchSettings(Training):
    """The bi-level search."""

    validation_batch_size: Positive | None = Field(
        default=None, description="Examples of one outer batch; by default as many as `batch_size`."
    )
    alpha_learning_rate: Rate = Field(default=0.1, description="Peak learning rate of the gates (AdamW).")
    alpha_warmup_steps: NotNegative = Field(
        default=0, description="Steps over which the gates' learning rate rises from 0."
    )
    hypergradient: Literal["first-order", "central-difference", "forward-difference", "exact"] = Field(
        default="central-difference",
        description="How the gates' gradient sees that weights follow gates: not at all; two extra passes (the "
        "paper's); one; or exactly, by a Hessian-vector product.",
    )
    virtual_scaling: Literal["adamw", "paper"] = Field(
        default="adamw",
        description="What the correction differentiates: the AdamW step that is taken, or (`paper`) an SGD step.",
    )
    shift_gradient: Literal["exact", "paper"] = Field(
        default="exact",
        description="Gradient through the shift: of sum n p = budget, or (`paper`) of sum p = constant.",
    )
    shared_dropout: bool = Field(default=True, description="All passes of one outer step see the same dropout masks.")
    clip_virtual: bool = Field(default=True, description="The virtual step clips its gradient as the real one does.")
    gates: Literal["soft", "hard"] = Field(
        default="soft", description="Gates between 0 and 1, or rounded with a straight-through gradient."
    )
    temperature: Rate = Field(default=1.0, description="Beta of the shifted sigmoid: larger is flatter.")
    selection: Literal["first-fit", "knapsack"] = Field(
        default="first-fit", description="How the structure is cut out: by p from the top, or the largest sum of p."
    )


class RetrainSettings(Training):
    """Training of the structure that was cut out, from scratch, on the whole training set."""


class RunSpec(Frozen):
    """One run. Everything a worker needs is here."""

    model: str = Field(description="`builtin:minilm`, a name on the hub, or a folder of your own.")
    task: TaskSpec = Field(description="The name of a task, or a table: see below.")
    space: SpaceSpec = Field(
        description="A space of the library, one of your `[space.NAME]` tables, or a structure JSON of the original."
    )
    method: Literal["s3", "random", "fixed", "full"] = Field(
        default="s3",
        description="`s3` searches; `random` draws a structure at the same budget; `fixed` takes the whole space "
        "(where it exceeds the budget, the last layers first); `full` fine-tunes everything.",
    )
    budget: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Under 1: a share of the backbone's parameters; an integer of 1 or more: a count. A new "
        "classification head is not counted.",
    )
    seed: NotNegative = Field(default=0, description="Seeds weights, gates, order and masks.")
    data_seed: NotNegative = Field(default=0, description="Seeds the splits of the data: the same rows for every seed.")
    device: str = Field(default="auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="`auto` is bf16 on a GPU that has it, fp32 elsewhere. Deltas and gates stay fp32."
    )
    eval_batch_size: Positive = Field(default=128, description="Examples of one batch in evaluation.")
    adapter_init: Literal["zero", "paper"] = Field(
        default="zero",
        description="Adapters start with a zero output, so that the network starts as the pretrained one, or "
        "(`paper`) at random as in the paper's code.",
    )
    search: SearchSettings = Field(default=SearchSettings(epochs=1), description="See below.")
    retrain: RetrainSettings = Field(default=RetrainSettings(epochs=1), description="See below.")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        """`preset = "paper"` fills in the original's choices; keys given beside it win."""
        if not isinstance(data, dict) or "preset" not in data:
            return data
        if data["preset"] != "paper":
            raise ValueError(f"unknown preset {data['preset']!r}; known: 'paper'")
        rest = {k: v for k, v in data.items() if k != "preset"}
        return {"adapter_init": "paper"} | rest | {"search": PAPER_SEARCH | rest.get("search", {})}

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("known: auto, cpu, cuda, cuda:N")
        return value

    @field_validator("budget")
    @classmethod
    def _budget(cls, value: float | None) -> float | None:
        if value is not None and value >= 1 and value != int(value):
            raise ValueError("a count of parameters is a whole number, a share is under 1")
        return value

    @model_validator(mode="after")
    def _budget_where_needed(self) -> RunSpec:
        if self.budget is None and self.method in ("s3", "random"):
            raise ValueError(f"method {self.method!r} needs a budget, as in budget = 4e-4")
        if self.method in ("s3", "random") and not self.space.groups:
            raise ValueError(f"method {self.method!r} has nothing to choose from in the empty space")
        return self

    def parameter_budget(self, backbone_parameters: int) -> int | None:
        """The budget in parameters: floor(share x backbone), or the count itself; None where there is none."""
        if self.budget is None:
            return None
        return int(self.budget * backbone_parameters if self.budget < 1 else self.budget)

    def digest(self) -> str:
        """Twelve hex digits that equal specs share."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
