"""RunSpec: all that defines one run, validated and fully resolved. Two equal specs are the same run.

The descriptions of the fields are the reference of the TOML (docs/toml.md is generated from them).
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)

from core.run.spaces import SpaceSpec
from core.run.tasks import OWN as TASKS
from core.run.training import (
    PAPER_SEARCH,
    BipeftSettings,
    Frozen,
    Positive,
    Rate,
    RetrainSettings,
    SearchSettings,
    Seed,
    Text,
)

# What the paper's code does where ours differs; `preset = "paper"` stands for these values.
PRESETS = ("paper",)
PAPER_RUN = {"adapter_init": "paper", "evaluation": "generate", "dropout": "torch"}
PAPER_TASK = {"flaws": "paper"}
# How dropout masks are drawn on a CPU.
Dropout = Literal["fast", "torch"]
# The methods that search, and those that choose from a space within a budget.
SEARCHING = ("s3", "bipeft")
CHOOSING = (*SEARCHING, "random")


class NamedTask(Frozen):
    """A task that comes by name."""

    name: str = Field(description=f"Which task: {', '.join(f'`{task.name}`' for task in TASKS)}.")
    data_root: Text | None = Field(
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


# Keys of FileTask that the first versions did not have.
LATER = ("delimiter", "encoding", "quoting", "on_bad_rows", "fold_labels", "class_weights", "score")


class FileTask(Frozen):
    """A task from files of one's own: a file, or a folder with train, validation and test files."""

    path: Text = Field(
        description="A jsonl (ndjson), json, csv, tsv, txt, parquet, arrow (feather) or xlsx file, or one of these "
        "with `.gz` behind, which is split 80/10/10 into training, validation and test; or a folder with a `train`, a "
        "`validation` (or `valid`, `val`, `dev`, `eval`) and, if there is one, a `test` file of these kinds."
    )
    text: tuple[Text, ...] = Field(
        min_length=1, description="The columns that hold the text, in order; a single one may stand without a list."
    )
    label: Text = Field(description="The column that holds the label.")
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
    delimiter: Text | None = Field(
        default=None,
        description="Of csv, tsv and txt: the character between two cells. By default a comma, or a tab in a tsv or "
        "txt; where that makes no column of the names given, a semicolon, a tab, a comma or a bar that does.",
    )
    encoding: Text | None = Field(
        default=None,
        description="Of text files: their encoding by a name that Python knows, such as `cp1252`. By default UTF-8, "
        "or what the file's byte order mark says, or what its bytes look like, which `s3tui validate` names.",
    )
    quoting: Literal["auto", "quoted", "none"] = Field(
        default="auto",
        description="Of csv, tsv and txt: cells may be in quotes (`quoted`), or quotes are text (`none`); `auto` takes "
        "them as text between tabs, unless the file is quoted as a whole, and refuses a file that is neither.",
    )
    on_bad_rows: Literal["error", "drop"] = Field(
        default="error",
        description="Rows without a text or a label, or with one that cannot be read: an error that counts them, or "
        "left out and counted in the events, the result and the report of the run.",
    )
    fold_labels: bool = Field(
        default=False,
        description="Whether labels that differ in upper and lower case or in spaces around them are one class, "
        "written in lower case.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="`balanced` weighs each row in the training loss by rows / (classes x rows of its class), so that "
        "rare classes count as much as frequent ones; for models that answer with a head.",
    )
    score: Literal["auto", "accuracy", "macro_f1"] = Field(
        default="auto",
        description="Which metric of a classification is the score, by which the best step is kept; `auto` is "
        "accuracy, and macro F1 where more than 90 % of the training rows are of one class.",
    )

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys that came later are written where they say something: a task without them is the run that it was."""
        fields = type(self).model_fields
        return {k: v for k, v in dump(self).items() if k not in LATER or v != fields[k].default}

    @field_validator("text", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in '"\r\n\0'):
            raise ValueError('it is one character, as in ";" or "\\t", and no quote or line end')
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            if value is None or "text".encode(value):
                return value
        except (LookupError, ValueError):
            pass
        raise ValueError('Python knows no text encoding of this name; "utf-8", "cp1252" and "utf-16" are some')

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
        given = [key for key in ("fold_labels", "class_weights", "score") if key in self.model_fields_set]
        if given and self.kind == "regression":
            raise ValueError(f"regression predicts numbers, so leave {given[0]} out")
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


class RunSpec(Frozen):
    """One run. Everything a worker needs is here."""

    model: Text = Field(description="`builtin:minilm`, a name on the hub, or a folder.")
    task: TaskSpec = Field(description="What is learned: the name of a task, or a table of either kind below.")
    space: SpaceSpec = Field(
        description="What can be chosen: a space of the library, one of your `[space.NAME]` tables, or a structure "
        "file of the paper's code (`FILE.json`)."
    )
    method: Literal["s3", "bipeft", "random", "fixed", "full", "given"] = Field(
        default="s3",
        description="`s3` searches a structure; `bipeft` searches one by pruning, with ranks in turn; `random` draws "
        "one within the budget; `fixed` takes the whole space, or as much as the budget allows from the last layer "
        "down; `full` fine-tunes all of the model; `given` trains the structure that [`structure`](#structure) names.",
    )
    budget: Rate | None = Field(
        default=None,
        description="What the structure may train at most: under 1 a share of the backbone's parameters, from 1 on "
        "their number. `s3`, `bipeft` and `random` need one. A new classification head is not counted. "
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
        description="Of the backbone; `auto` is bf16 on a GPU that has it, fp32 elsewhere. Deltas and gates are fp32.",
    )
    dropout: Dropout = Field(
        default="fast",
        description="How dropout masks are drawn on a CPU: from 16 random bits an element, which takes a sixth off a "
        "T5's pass, or as torch draws them. GPUs draw as torch does.",
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
    bipeft: BipeftSettings = Field(
        default=BipeftSettings(), description='What `method = "bipeft"` has beside that; its keys are below.'
    )
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
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
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
        if self.budget is None and self.method in CHOOSING:
            raise ValueError(f"method {self.method!r} needs a budget, as in budget = 4e-4")
        if self.method in CHOOSING and not any(self.space.deltas()):
            raise ValueError(f"method {self.method!r} has nothing to choose from in the empty space")
        return self

    @model_validator(mode="after")
    def _bipeft_has_two_levels(self) -> RunSpec:
        if self.method == "bipeft" and not self.search.bilevel:
            raise ValueError("method 'bipeft' compares two halves of the data: leave bilevel = false out")
        return self

    @model_validator(mode="after")
    def _alternatives_are_of_shift(self) -> RunSpec:
        several = [str(delta) for _, _, delta in self.space.deltas() if len(delta.alternatives) > 1]
        if self.method == "s3" and several and self.search.strategy != "shift":
            raise ValueError(f'{several[0]} is a choice of one, which needs strategy = "shift"')
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
