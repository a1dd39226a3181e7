"""RunSpec: the complete settings of one run, validated and resolved. Two equal specs define the same run.

The field descriptions are the reference of the TOML keys (docs/toml.md is generated from them).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticKnownError

from core.run.added import not_in_digest, with_added
from core.run.errors import SpecError
from core.run.methods import METHODS, OWN, method_of
from core.run.prompts import EXAMPLE, PAPER, check_prompt
from core.run.selection import BY_NETWORK
from core.run.spaces import SpaceSpec
from core.run.structure import RUN
from core.run.task_spec import TaskSpec, task_kind
from core.run.training import (
    PAPER_RETRAIN,
    PAPER_SEARCH,
    BipeftSettings,
    FixedSettings,
    Frozen,
    NotNegative,
    PeftSettings,
    Positive,
    Rate,
    RetrainSettings,
    SaliencySettings,
    SearchSettings,
    Seed,
    Text,
)

# The values of `preset = "paper"`: the behaviour of the paper's code where our defaults differ.
PRESETS = ("paper",)
PAPER_RUN = {"adapter_init": "paper", "evaluation": "generate", "dropout": "torch", "step_scale": "shared"}
PAPER_TASK = {"flaws": "paper"}
FULL_LEARNING_RATE = 5e-5  # of all weights of a model
# How dropout masks are sampled on a CPU.
Dropout = Literal["fast", "torch"]
# What a structure can be exported as.
Exportable = Literal["any", "peft"]
# How a model that writes text is asked for its answers.
Evaluation = Literal["auto", "rank", "rank-per-token", "generate"]
# What is done with rows that a model cannot read whole, with their answer.
LongRows = Literal["error", "drop"]
# How far weights move in a step.
StepScale = Literal["balanced", "shared"]


_NEED = " and ".join(", ".join(f"`{row.name}`" for row in OWN if row.budget == "needed").rsplit(", ", 1))


def _filled(table: Any, choices: dict[str, Any]) -> Any:
    """A table with missing keys filled in from `choices`; other values are returned as they are, and refused later."""
    if isinstance(table, Frozen):
        table = table.model_dump(exclude_unset=True)
    return choices | table if isinstance(table, dict) else table


def _with_preset(data: dict[str, Any]) -> dict[str, Any]:
    """The settings with the choices of `preset = "paper"`, for a named task too."""
    if "preset" not in data:
        return data
    if data["preset"] not in PRESETS:
        raise ValueError(f"unknown preset {data['preset']!r}; known: 'paper'")
    rest = {k: v for k, v in data.items() if k != "preset"}
    rest["search"] = _filled(rest.get("search", {}), PAPER_SEARCH)
    rest["retrain"] = _filled(rest.get("retrain", {}), PAPER_RETRAIN)
    if "task" in rest and task_kind(rest["task"]) == "named":
        rest["task"] = _filled(rest["task"], PAPER_TASK)
    return PAPER_RUN | rest


def _of_method(data: dict[str, Any]) -> dict[str, Any]:
    """The settings with what retraining does unless told otherwise: it starts with the weights of a search that learns
    any, and all weights of a model learn at a rate that they survive."""
    row = method_of(data.get("method", "s3"))
    usual: dict[str, Any] = {"start": "searched" if row.learns else "scratch"}
    usual |= {"learning_rate": FULL_LEARNING_RATE} if row.trains == "model" else {}
    return data | {"retrain": _filled(data.get("retrain", {}), usual)}


class RunSpec(Frozen):
    """The complete settings of one run."""

    model: Text = Field(
        description="`builtin:minilm`, `builtin:smollm2-135m`, a name on the hub, a folder, or a `.gguf` file."
    )
    task: TaskSpec = Field(description="What is learned: the name of a task, or a table of either kind below.")
    space: SpaceSpec = Field(
        description="What can be chosen: a space of the library, one of your `[space.NAME]` tables, or a structure "
        "file of the paper's code (`FILE.json`)."
    )
    method: str = Field(
        default="s3",
        description=f"{'; '.join(f'`{row.name}` {row.about}' for row in OWN)}.",
        json_schema_extra={"enum": [row.name for row in OWN]},
    )
    budget: Rate | None = Field(
        default=None,
        description="What the structure may train at most: under 1 a share of the backbone's parameters, from 1 on "
        f"their number. {_NEED} need one. A new classification head is not counted. "
        '`"none"` takes back '
        "a budget of the defaults.",
    )
    seed: Seed = Field(
        default=0, description="Fixes what is drawn at random: first weights, gates, order of the data, dropout."
    )
    data_seed: Seed = Field(
        default=0, description="Fixes how data are split, apart from `seed`: so that seeds compare on the same rows."
    )
    device: str = Field(default="auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Of the backbone; `auto` is bf16 on a GPU or CPU that computes in it (`s3tui doctor` says whether "
        "this one does), fp32 elsewhere. Deltas, gates and losses are fp32.",
    )
    dropout: Dropout = Field(
        default="fast",
        description="How dropout masks are drawn on a CPU: from 16 random bits an element, which takes a sixth off a "
        "T5's pass, or as torch draws them. GPUs draw as torch does.",
    )
    eval_batch_size: Positive = Field(default=128, description="Examples in one batch of an evaluation.")
    checkpoint_every: Positive = Field(
        default=100,
        description="Steps between two checkpoints, from which a stopped or killed run resumes; one is also written at "
        "the end of each phase and on SIGTERM.",
    )
    head: bool = Field(
        default=False,
        description="Whether a decoder answers with a new classification head, at the last token of its prompt, and "
        "not with text. Encoders always answer with a head, encoder-decoders never.",
    )
    prompt: Text = Field(
        default=PAPER,
        description="What a text-to-text model or a decoder reads: the paper's format (`paper`), that as a message in "
        "the tokenizer's chat template (`chat`), or a template that names columns in braces, after which the answer "
        f"follows at once: `{EXAMPLE}`.",
    )
    shots: NotNegative = Field(
        default=0,
        description="Examples in each prompt: so many rows of the training split with their answers, drawn by `seed`, "
        "as many of each label as can be, and never the row itself. They count towards `max_length`.",
    )
    on_long_rows: LongRows = Field(
        default="error",
        description="Rows that the model cannot read whole with their answer, or for whose text a prompt of "
        "`max_length` has no room: `error` stops with their count, `drop` leaves them out and counts them as bad rows "
        "are.",
    )
    evaluation: Evaluation = Field(
        default="auto",
        description="How a text-to-text model answers: with the label whose text is most likely (`rank`), or most "
        "likely per token (`rank-per-token`: longer labels are not at a disadvantage), or with what it writes "
        "(`generate`, several times slower); `auto` is `rank` for classes, and has numbers and free text written. A "
        "model with a head answers with that.",
    )
    adapter_init: Literal["zero", "paper"] = Field(
        default="zero",
        description="Adapters start with no effect (`zero`), so that training starts at the pretrained model, or at "
        "random (`paper`).",
    )
    step_scale: StepScale = Field(
        default="balanced",
        description="How far the weights of different deltas move in a step: each with the multiple of the learning "
        "rate at which a step changes the output of its module as much as that of a bias would (`balanced`), or all "
        "with the learning rate (`shared`, the paper's), with which a LoRA of alpha 16 goes nine times as far as a "
        "bias.",
    )
    exportable: Exportable = Field(
        default="any",
        description="`peft` leaves out of the space what a PEFT adapter cannot hold (adapters, prefixes, soft prompts, "
        "biases of layers that have none), so that `s3tui export --to peft` takes any structure that is found; a given "
        "structure must be such a one. `s3tui validate` says which exports a space allows.",
    )
    search: SearchSettings = Field(default=SearchSettings(), description="The search; its keys are below.")
    bipeft: BipeftSettings = Field(
        default=BipeftSettings(), description='What `method = "bipeft"` has beside that; its keys are below.'
    )
    saliency: SaliencySettings = Field(
        default=SaliencySettings(), description='What `method = "saliency"` has; its keys are below.'
    )
    fixed: FixedSettings = Field(default=FixedSettings(), description='What `method = "fixed"` has; its key is below.')
    peft: PeftSettings = Field(default=PeftSettings(), description="What the methods of PEFT have; its keys are below.")
    retrain: RetrainSettings = Field(
        default=RetrainSettings(), description="The training of what was found; its keys are below."
    )

    @classmethod
    def of_file(cls, written: Any) -> RunSpec:
        """The settings that stand in a `spec.json`, which may be of an earlier version."""
        return cls.model_validate(with_added(written) if isinstance(written, dict) else written)

    @model_validator(mode="before")
    @classmethod
    def _resolved(cls, data: Any) -> Any:
        """Apply a preset, then what depends on the method; keys given explicitly take precedence."""
        return _of_method(_with_preset(data)) if isinstance(data, dict) else data

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        if value not in METHODS:
            raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, METHODS))})
        try:
            return METHODS[value].name
        except SpecError as error:  # of a package that is broken
            raise ValueError(str(error)) from error

    @field_validator("prompt")
    @classmethod
    def _prompt(cls, value: str) -> str:
        check_prompt(value)
        return value

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
            raise ValueError("known: auto, cpu, cuda, cuda:N")
        return value

    @field_validator("budget", mode="before")
    @classmethod
    def _no_budget(cls, value: Any) -> Any:
        """`"none"` removes a budget of the defaults, as TOML has no null."""
        return None if value == "none" else value

    @field_validator("budget")
    @classmethod
    def _budget(cls, value: float | None) -> float | None:
        if value is not None and value >= 1 and value != int(value):
            raise ValueError("a count of parameters is a whole number, a share is under 1")
        return value

    @model_validator(mode="after")
    def _budget_where_needed(self) -> RunSpec:
        row = METHODS[self.method]
        if self.budget is None and row.budget == "needed":
            raise ValueError(f"method {self.method!r} needs a budget, as in budget = 4e-4")
        if row.space == "chosen" and not any(self.space.deltas()):
            raise ValueError(f"method {self.method!r} has nothing to choose from in the empty space")
        return self

    @model_validator(mode="after")
    def _two_levels_where_needed(self) -> RunSpec:
        if METHODS[self.method].bilevel and not self.search.bilevel:
            raise ValueError(f"method {self.method!r} compares two halves of the data: leave bilevel = false out")
        return self

    @model_validator(mode="after")
    def _learned_where_searched(self) -> RunSpec:
        row = METHODS[self.method]
        if self.retrain.start != "searched" or row.learns:
            return self
        if not row.is_given:
            raise ValueError(
                f'retrain.start = "searched" goes on from weights that a search has learned, and method '
                f'{self.method!r} learns none: set retrain.start = "scratch"'
            )
        if not self.space.name.startswith(RUN):
            raise ValueError(
                'retrain.start = "searched" takes the weights of a run, and this structure is from a file: name the '
                'run that has searched (structure = "run:NAME"), or set retrain.start = "scratch"'
            )
        return self

    @model_validator(mode="after")
    def _alternatives_are_of_shift(self) -> RunSpec:
        several = [str(delta) for _, _, delta in self.space.deltas() if len(delta.alternatives) > 1]
        if METHODS[self.method].strategy and several and self.search.strategy != "shift":
            raise ValueError(f'{several[0]} is a choice of one, which needs strategy = "shift"')
        return self

    @model_validator(mode="after")
    def _the_network_is_asked_about_p(self) -> RunSpec:
        row, how = METHODS[self.method], self.search.selection
        if how in BY_NETWORK and row.searches and not (row.gates and row.by == "p"):
            raise ValueError(f'method {self.method!r} selects by its {row.by}: leave selection = "{how}" out of search')
        return self

    def __eq__(self, other: object) -> bool:
        """Specs are equal if their JSON is equal: the order of the patterns of a space counts too."""
        return isinstance(other, RunSpec) and self.model_dump_json() == other.model_dump_json()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def parameter_budget(self, backbone_parameters: int) -> int | None:
        """The budget in parameters: floor(share x backbone), or the count itself; None if there is no budget."""
        if self.budget is None:
            return None
        return int(self.budget * backbone_parameters if self.budget < 1 else self.budget)

    def digest(self) -> str:
        """A hash of twelve hex digits, equal for equal specs; a key added later changes none that means what it did."""
        text = self.model_dump_json(exclude=not_in_digest(self.model_dump()))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
