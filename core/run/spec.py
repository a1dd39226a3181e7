"""RunSpec: all that defines one run, validated and fully resolved. Two equal specs are the same run.

The descriptions of the fields are the reference of the TOML (docs/toml.md is generated from them).
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from core.run.spaces import SpaceSpec
from core.run.tasknames import TASK_NAMES

# What the paper's code does where ours differs; `preset = "paper"` stands for these values.
PRESETS = ("paper",)
PAPER_RUN = {"adapter_init": "paper", "evaluation": "generate"}
PAPER_TASK = {"flaws": "paper"}
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
NotNegativeReal = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Frozen(BaseModel):
    """Immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NamedTask(Frozen):
    """A task that comes by name."""

    name: str = Field(description=f"Which task: {', '.join(f'`{name}`' for name in TASK_NAMES)}.")
    data_root: str | None = Field(
        default=None,
        description="A folder with the data of the paper's tasks, instead of the hub: `NAME/train` and "
        "`NAME/validation` in it, as jsonl, csv, tsv or parquet with the hub's columns.",
    )
    flaws: Literal["mended", "paper"] = Field(
        default="mended",
        description="`paper` keeps what the paper's code does to `superglue-copa` (no question whether cause or effect "
        "is asked for), `superglue-multirc` (halved row by row, which tears questions apart) and `stsb` (numbers "
        "written to 0.1, not to 0.2).",
    )
    per_class: Positive = Field(
        default=300, description="Of `icd10-chapter`: at most so many texts of each class, all splits together."
    )
    max_length: Positive | None = Field(
        default=None,
        description="Longer texts are cut to so many tokens; by default to the length that the task has in the table "
        "of tasks.",
    )


class FileTask(Frozen):
    """A task from files of one's own: a file, or a folder with train, validation and test files."""

    path: str = Field(
        description="A jsonl, csv, tsv or parquet file, which is split 80/10/10 into training, validation and test; or "
        "a folder with a `train`, a `validation` and, if there is one, a `test` file of these kinds."
    )
    text: tuple[str, ...] = Field(
        min_length=1, description="The columns that hold the text, in order; a single one may stand without a list."
    )
    label: str = Field(description="The column that holds the label.")
    kind: Literal["auto", "classification", "regression"] = Field(
        default="auto",
        description="Whether labels are classes or numbers to predict; `auto` takes labels with a decimal point as "
        "numbers.",
    )
    labels: tuple[str, ...] | None = Field(
        default=None,
        description="The classes, in order, two or more; by default the labels of the training data, sorted.",
    )
    max_length: Positive = Field(default=128, description="Longer texts are cut to so many tokens.")

    @field_validator("text", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("labels")
    @classmethod
    def _distinct_labels(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        twice = [label for label in value if value.count(label) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is among them more than once")
        if len(value) < 2:
            raise ValueError("there are at least two classes")
        return value

    @model_validator(mode="after")
    def _numbers_have_no_classes(self) -> FileTask:
        if self.labels is not None and self.kind == "regression":
            raise ValueError("regression predicts numbers, so leave labels out")
        return self


def _task_kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Frozen) else ()
    return "file" if "path" in keys else "named"


TaskSpec = Annotated[Annotated[NamedTask, Tag("named")] | Annotated[FileTask, Tag("file")], Discriminator(_task_kind)]


def _filled(table: Any, choices: dict[str, Any]) -> Any:
    """A table with `choices` where it says nothing else; what is no table stays, to be refused."""
    if isinstance(table, Frozen):
        table = table.model_dump(exclude_unset=True)
    return choices | table if isinstance(table, dict) else table


class Training(Frozen):
    """What searching and retraining have in common."""

    max_steps: Positive | None = Field(default=None, description="How many steps to take, in the place of `epochs`.")
    epochs: Rate | None = Field(
        default=None,
        description="How many passes over the training data to take, or over the half of it that a search learns from; "
        "a fraction is fine. One, where no `max_steps` is given.",
    )
    batch_size: Positive = Field(default=16, description="Examples in one training batch.")
    eval_every: Positive = Field(default=100, description="Steps between two evaluations.")
    learning_rate: Rate = Field(default=3e-4, description="Peak learning rate of the delta weights (AdamW).")
    weight_decay: NotNegativeReal = Field(
        default=0.0, description="Weight decay of the delta weights, decoupled as AdamW has it."
    )
    warmup_steps: NotNegative = Field(
        default=0, description="Steps over which the learning rate rises from 0; then it falls linearly to 0."
    )
    clip: Rate = Field(default=2.0, description="A gradient whose norm is larger is scaled down to this norm.")

    @model_validator(mode="before")
    @classmethod
    def _some_length(cls, data: Any) -> Any:
        """One epoch where no length is given; it is written down, so that a spec says all."""
        if isinstance(data, dict) and data.get("max_steps") is None and data.get("epochs") is None:
            return data | {"epochs": 1}
        return data

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if self.max_steps is not None and self.epochs is not None:
            raise ValueError("give either max_steps or epochs")
        return self


class SearchSettings(Training):
    """The bi-level search: weights learn on one half of the training data, gates on the other."""

    validation_batch_size: Positive | None = Field(
        default=None, description="Examples in one batch for the gates; by default as many as `batch_size`."
    )
    alpha_learning_rate: Rate = Field(default=0.1, description="Peak learning rate of the gates (AdamW).")
    alpha_warmup_steps: NotNegative = Field(
        default=0, description="Steps over which the learning rate of the gates rises from 0."
    )
    hypergradient: Literal["first-order", "central-difference", "forward-difference", "exact"] = Field(
        default="central-difference",
        description="How the gradient of the gates sees that the weights will follow them: not at all (`first-order`), "
        "by a finite difference with two more passes (`central-difference`, the paper's) or one more "
        "(`forward-difference`), or by an exact Hessian-vector product (`exact`).",
    )
    virtual_scaling: Literal["adamw", "paper"] = Field(
        default="adamw",
        description="Which weight step that correction differentiates: the AdamW step that is taken, or an SGD step "
        "(`paper`).",
    )
    shift_gradient: Literal["exact", "paper"] = Field(
        default="exact",
        description="The gradient through the shift that keeps the expected size at the budget: exact, or as if every "
        "candidate were of one size (`paper`).",
    )
    shared_dropout: bool = Field(
        default=True, description="Whether all passes of one step of the gates see the same dropout masks."
    )
    clip_virtual: bool = Field(
        default=True, description="Whether the weight step that the gates look ahead to clips its gradient too."
    )
    gates: Literal["soft", "hard"] = Field(
        default="soft",
        description="Gates anywhere between 0 and 1, or rounded to one of them, with the gradient of the soft ones.",
    )
    temperature: Rate = Field(
        default=1.0, description="Divides the logits of the gates (the paper's beta): larger is nearer to even odds."
    )
    selection: Literal["first-fit", "knapsack"] = Field(
        default="first-fit",
        description="How the structure is cut out: the most probable candidates that still fit, one after the other, "
        "or the set with the largest sum of probabilities.",
    )


class RetrainSettings(Training):
    """Training of the structure that was cut out, from scratch, on the whole training set."""


class RunSpec(Frozen):
    """One run. Everything a worker needs is here."""

    model: str = Field(description="`builtin:minilm`, a name on the hub, or a folder.")
    task: TaskSpec = Field(description="What is learned: the name of a task, or a table of either kind below.")
    space: SpaceSpec = Field(
        description="What can be chosen: a space of the library, one of your `[space.NAME]` tables, or a structure "
        "file of the paper's code (`FILE.json`)."
    )
    method: Literal["s3", "random", "fixed", "full", "given"] = Field(
        default="s3",
        description="`s3` searches a structure; `random` draws one within the budget; `fixed` takes the whole space, "
        "or as much as the budget allows from the last layer down; `full` fine-tunes all of the model; "
        "`given` trains the structure that [`structure`](#structure) names.",
    )
    budget: Rate | None = Field(
        default=None,
        description="What the structure may train at most: under 1 a share of the backbone's parameters, from 1 on "
        'their number. `s3` and `random` need one. A new classification head is not counted. `"none"` takes back '
        "a budget of the defaults.",
    )
    seed: NotNegative = Field(
        default=0, description="Fixes what is drawn at random: first weights, gates, order of the data, dropout."
    )
    data_seed: NotNegative = Field(
        default=0, description="Fixes how data are split, apart from `seed`: so that seeds compare on the same rows."
    )
    device: str = Field(default="auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Of the backbone; `auto` is bf16 on a GPU that has it, fp32 elsewhere. Deltas and gates are fp32.",
    )
    eval_batch_size: Positive = Field(default=128, description="Examples in one batch of an evaluation.")
    checkpoint_every: Positive = Field(
        default=100,
        description="Steps between two checkpoints, which a run that was stopped or killed goes on from; one is "
        "written at the end of each phase and on SIGTERM too.",
    )
    evaluation: Literal["auto", "rank", "generate"] = Field(
        default="auto",
        description="How a text-to-text model answers: with the label whose text is most likely (`rank`), or with what "
        "it writes (`generate`, several times slower); `auto` ranks classes, and has numbers and free text written. "
        "An encoder answers with its head.",
    )
    adapter_init: Literal["zero", "paper"] = Field(
        default="zero",
        description="Adapters start with no effect (`zero`), so that training starts at the pretrained model, or at "
        "random (`paper`).",
    )
    search: SearchSettings = Field(default=SearchSettings(), description="The search; its keys are below.")
    retrain: RetrainSettings = Field(
        default=RetrainSettings(), description="The training of what was found; its keys are below."
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        """`preset = "paper"` fills in the original's choices, of a named task too; keys given beside it win."""
        if not isinstance(data, dict) or "preset" not in data:
            return data
        if data["preset"] not in PRESETS:
            raise ValueError(f"unknown preset {data['preset']!r}; known: 'paper'")
        rest = {k: v for k, v in data.items() if k != "preset"}
        rest["search"] = _filled(rest.get("search", {}), PAPER_SEARCH)
        if "task" in rest and _task_kind(rest["task"]) == "named":
            rest["task"] = _filled(rest["task"], PAPER_TASK)
        return PAPER_RUN | rest

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("known: auto, cpu, cuda, cuda:N")
        return value

    @field_validator("budget", mode="before")
    @classmethod
    def _no_budget(cls, value: Any) -> Any:
        """TOML has no null, with which an experiment could take back a budget of the defaults."""
        return None if value == "none" else value

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
        if self.method in ("s3", "random") and not any(self.space.deltas()):
            raise ValueError(f"method {self.method!r} has nothing to choose from in the empty space")
        return self

    def __eq__(self, other: object) -> bool:
        """Specs are equal when they are written equally: the order of the patterns of a space counts too."""
        return isinstance(other, RunSpec) and self.model_dump_json() == other.model_dump_json()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def parameter_budget(self, backbone_parameters: int) -> int | None:
        """The budget in parameters: floor(share x backbone), or the count itself; None where there is none."""
        if self.budget is None:
            return None
        return int(self.budget * backbone_parameters if self.budget < 1 else self.budget)

    def digest(self) -> str:
        """Twelve hex digits that equal specs share."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
