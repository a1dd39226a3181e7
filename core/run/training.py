"""The settings of search and retraining, validated; `core.run.spec` combines them with the other settings of a run.

The field descriptions are the reference of the TOML keys (docs/toml.md is generated from them).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

# The behaviour of the paper's code where our defaults differ.
PAPER_RATES = {"learning_rate": 3e-4, "warmup_steps": 0}
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
} | PAPER_RATES
PAPER_RETRAIN = {"start": "scratch"} | PAPER_RATES

# Upper bounds: a larger value makes no sense, and would fail later, in a loop, in numpy or on a GPU.
MOST = 10**9  # steps, examples, tokens
MOST_SEED = 2**63 - 1  # a seed is a signed integer of 64 bits
LARGEST = 2**53  # real numbers; up to here a float represents every whole number of parameters exactly

Positive = Annotated[int, Field(ge=1, le=MOST)]
NotNegative = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Rate = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NotNegativeReal = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Share = Annotated[float, Field(ge=0, le=1)]


def _whole_or_share(steps: float) -> float:
    """A number of steps as an int, a share of them as a float below 1."""
    if steps >= 1 and steps != int(steps):
        raise ValueError("should be a whole number of steps, or a share of them below 1")
    return int(steps) if steps == int(steps) else steps


# Steps, or below 1 a share of all steps, as transformers' TrainingArguments have it. Whole numbers are written as such,
# so that digests of specs from when there were no shares hold.
Warmup = Annotated[
    float,
    Field(ge=0, le=MOST),
    AfterValidator(_whole_or_share),
    PlainSerializer(lambda steps: steps, return_type=int | float),
]


class Frozen(BaseModel):
    """A base class of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Training(Frozen):
    """Settings that search and retraining have in common."""

    max_steps: Positive | None = Field(default=None, description="How many steps to take, instead of `epochs`.")
    epochs: Rate | None = Field(
        default=None,
        description="How many passes over the training data (of a search: over the half on which the weights are "
        "trained); a fraction is fine. One if no `max_steps` is given.",
    )
    batch_size: Positive = Field(default=16, description="Examples in one training batch.")
    eval_every: Positive = Field(default=100, description="Steps between two evaluations.")
    gradient_accumulation: Positive = Field(
        default=1,
        description="Batches accumulated for one step; an epoch has that many times fewer steps.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Whether layers recompute their activations in the backward pass instead of keeping them: slower, "
        "with much less memory.",
    )
    optimizer: Literal["adamw", "adafactor"] = Field(
        default="adamw",
        description="The optimiser of the weights: AdamW, or Adafactor as T5 is fine-tuned with it (no relative steps, "
        "no scaling by the size of the parameters, so that `learning_rate` is the rate).",
    )
    learning_rate: Rate = Field(
        default=5e-3,
        description="Peak learning rate of the weights. The default suits "
        '[balanced steps](fidelity.md#balanced-steps); that of `method = "full"` is 5e-5, that of '
        '`preset = "paper"` 3e-4.',
    )
    head_learning_rate: Rate | None = Field(
        default=None,
        description="Peak learning rate of a new classification head; by default that of the other weights.",
    )
    weight_decay: NotNegativeReal = Field(
        default=0.0, description="Weight decay of the weights, decoupled as AdamW has it."
    )
    warmup_steps: Warmup = Field(
        default=0.1,
        description="Steps over which the learning rate rises from 0, below 1 as a share of all steps (`0.1`); then it "
        "falls linearly to 0.",
    )
    clip: Rate = Field(default=2.0, description="A gradient whose norm is larger is scaled down to this norm.")

    @model_validator(mode="before")
    @classmethod
    def _some_length(cls, data: Any) -> Any:
        """Train for one epoch if no length is given; filled in here, so that the spec is explicit."""
        if isinstance(data, dict) and data.get("max_steps") is None and data.get("epochs") is None:
            return data | {"epochs": 1}
        return data

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if self.max_steps is not None and self.epochs is not None:
            raise ValueError("give either max_steps or epochs")
        return self


class SearchSettings(Training):
    """Settings of the search: weights are trained on one half of the training data, gates on the other."""

    bilevel: bool = Field(
        default=True,
        description="Whether gates and weights are trained on different halves of the training data. If not, both are "
        "trained on all of it, with one pass per step, which is `first-order`.",
    )
    validation_batch_size: Positive | None = Field(
        default=None, description="Examples in one batch for the gates; by default as many as `batch_size`."
    )
    alpha_learning_rate: Rate = Field(default=0.1, description="Peak learning rate of the gates (AdamW).")
    alpha_warmup_steps: Warmup = Field(
        default=0,
        description="Steps over which the learning rate of the gates rises from 0, or a share of all steps.",
    )
    hypergradient: Literal["first-order", "central-difference", "forward-difference", "exact"] = Field(
        default="central-difference",
        description="How the gradient of the gates accounts for the weights' response to them: not at all "
        "(`first-order`), by a finite difference with two more passes (`central-difference`, the paper's) or one more "
        "(`forward-difference`), or by an exact Hessian-vector product (`exact`).",
    )
    virtual_scaling: Literal["exact", "paper"] = Field(
        default="exact",
        description="Which weight step that correction differentiates: the actual step of the `optimizer`, or "
        "an SGD step (`paper`).",
    )
    strategy: Literal["shift", "tau-theta", "l0"] = Field(
        default="shift",
        description="How gate probabilities are computed from alphas: a sigmoid, shifted so that the expected size is "
        "the budget (`shift`, the paper's); a softmax, scaled to the budget (`tau-theta`); or a sigmoid with a penalty "
        "on the expected number of open gates (`l0`), where the budget limits only the structure that is selected.",
    )
    l0_lambda: NotNegativeReal = Field(
        default=0.0, description="With `l0`: the weight of that penalty, which is added to the validation loss."
    )
    shift_gradient: Literal["exact", "paper"] = Field(
        default="exact",
        description="The gradient through the shift, or through tau and theta of `tau-theta`, which keep the expected "
        "size at the budget: exact, or as if all candidates had the same size (`paper`).",
    )
    budget_decay_steps: NotNegative = Field(
        default=0,
        description="Steps over which the budget of the gates falls linearly from the whole space to `budget`. "
        "Evaluations and the selected structure are under `budget` all the while.",
    )
    shared_gates: bool = Field(
        default=True, description="Whether all passes of one step of the gates see the same sample of the gates."
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
    stretch_low: Annotated[float, Field(ge=-LARGEST, le=0, allow_inf_nan=False)] = Field(
        default=0.0,
        description="Gates are stretched from (0, 1) to (`stretch_low`, `stretch_high`) and clamped to [0, 1], so that "
        "soft ones can be exactly closed or open; the defaults with `l0` are -0.1 and 1.1.",
    )
    stretch_high: Annotated[float, Field(ge=1, le=LARGEST, allow_inf_nan=False)] = Field(
        default=1.0, description="The other end of that interval."
    )
    temperature: Rate = Field(
        default=1.0,
        description="Divides the alphas of the gates (the paper's beta): a larger one brings probabilities closer to "
        "even odds. With `tau-theta`, the lower bound of tau.",
    )
    final_temperature: Rate | None = Field(
        default=None, description="The temperature at the last step, reached linearly; by default it stays the same."
    )
    patience: Positive | None = Field(
        default=None,
        description="The search ends early when so many evaluations in a row found the same structure as the one "
        "before them; by default it never does.",
    )
    selection: Literal["first-fit", "knapsack", "perturbation", "sampled"] = Field(
        default="first-fit",
        description="How the structure is selected: the most probable candidates that still fit, one after the other "
        "(`first-fit`); the set with the largest sum of probabilities (`knapsack`); or with the trained network, as "
        "[methods.md](methods.md#the-cut) has it: by the rise of the validation loss when a candidate is closed "
        "(`perturbation`), or the best of some structures drawn from the gates (`sampled`).",
    )
    selection_samples: Positive = Field(
        default=32, description="With `sampled`: how many structures are drawn, the first fit among them."
    )

    @model_validator(mode="before")
    @classmethod
    def _follows(cls, data: Any) -> Any:
        """What follows from other settings where it is not given; filled in, so that the spec is explicit.

        Gates of `l0` are stretched, as they could not be closed otherwise, and one level looks ahead to no step.
        """
        if not isinstance(data, dict):
            return data
        stretch = {"stretch_low": -0.1, "stretch_high": 1.1} if data.get("strategy") == "l0" else {}
        order = {"hypergradient": "first-order"} if data.get("bilevel") is False else {}
        return stretch | order | data

    @model_validator(mode="after")
    def _fit_together(self) -> SearchSettings:
        if not self.bilevel and self.hypergradient != "first-order":
            raise ValueError('bilevel = false looks ahead to no step: leave hypergradient out, or "first-order"')
        if self.strategy != "l0" and self.l0_lambda:
            raise ValueError('l0_lambda is of strategy = "l0" alone; the others hold the budget by themselves')
        if self.strategy == "l0" and self.stretch_low == 0:
            raise ValueError('strategy = "l0" needs a stretch_low below 0, or no gate could ever be closed')
        if self.strategy == "l0" and self.budget_decay_steps:
            raise ValueError('strategy = "l0" holds no budget that could decay: leave budget_decay_steps out')
        return self


class RetrainSettings(Training):
    """Settings of retraining: training of the selected structure on the whole training set."""

    start: Literal["scratch", "searched"] | None = Field(
        default=None,
        description="The weights with which retraining starts: initial ones (`scratch`, the paper's), or those that "
        "the search has learned for the selected candidates and the head (`searched`). By default `searched` for "
        "methods whose search learns weights (`s3`, `bipeft`), `scratch` for the others. A structure that is given by "
        '`structure = "run:NAME"` can start with the weights of that run too.',
    )


class BipeftSettings(Frozen):
    """Settings of `method = "bipeft"` in addition to those of `search`; the defaults are those of its paper."""

    temperature: Rate = Field(default=5.0, description="Temperature of the Gumbel-softmax at the first step.")
    final_temperature: Rate = Field(
        default=1.0, description="The temperature at the last step; in between it changes linearly."
    )
    smoothing: Share = Field(
        default=0.85, description="The factor of the exponential moving average of a module's sensitivity."
    )
    stability: Share = Field(
        default=0.85,
        description="Modules are pruned at a step at which the set of most sensitive ones within the budget has at "
        "least this mean cosine similarity with those of the last `window` steps.",
    )
    window: Positive = Field(default=5, description="Number of steps that `stability` compares with.")
    pruning_steps: Positive = Field(
        default=100, description="Number of prunings from the whole space to the budget; the search ends with the last."
    )
    prune_after: NotNegative | None = Field(
        default=None,
        description="Steps before the first pruning, as sensitivities mean little at first; by default a tenth of the "
        "search.",
    )


class FixedSettings(Frozen):
    """Settings of `method = "fixed"`."""

    order: Literal["last", "even"] = Field(
        default="last",
        description="Which part of a space that exceeds the budget is taken: candidates from the last layer down "
        "(`last`), or as many in each layer (`even`), which takes the smallest of alternatives before it leaves out "
        "a layer.",
    )


class PeftSettings(Frozen):
    """Settings of the methods that PEFT computes: `lora`, `eva`, `adalora`, `ln-tuning` and `shira`."""

    targets: Text | None = Field(
        default=None,
        description="Pattern of the sites that are trained, as in a space; by default `attn.{q,v,qkv}`, and `norm.*` "
        "for `ln-tuning`.",
    )
    rank: Positive | None = Field(
        default=None,
        description="The rank of each target, as many targets as the budget allows, evenly over the layers; by default "
        "the largest ranks with which the budget holds. Of `eva` the rank before ranks are handed out, of `adalora` "
        "that with which training starts. `ln-tuning` has none.",
    )
    alpha: Rate | None = Field(
        default=None,
        description="PEFT's `lora_alpha`; by default that with which a step of the learning rate changes the output of "
        "a target as much as that of a bias would.",
    )
    use_rslora: bool = Field(
        default=False,
        description="Of `lora` and `eva`: the update is scaled by `alpha / sqrt(rank)` instead of `alpha / rank`. With "
        "the default `alpha` that is the same.",
    )


class SaliencySettings(Frozen):
    """Settings of `method = "saliency"`; of those of `search` it reads the batches and the learning rates."""

    criterion: Literal["taylor", "fisher"] = Field(
        default="taylor",
        description="What a candidate is scored by: the first-order decrease of the loss in one balanced step "
        "(`taylor`), or the mean squared gradient times the square of that step (`fisher`).",
    )
    batches: Positive = Field(
        default=12,
        description="Batches, of `search.batch_size` examples, from which candidates are scored. A quarter as many "
        "before them find the directions in which LoRAs and adapters are scored.",
    )
    lora_start: Literal["gradient", "random"] = Field(
        default="gradient",
        description="How A of a selected LoRA starts in retraining: with the directions by which it was scored "
        "(`gradient`), or at random, as with every other method.",
    )
    head_steps: NotNegative = Field(
        default=30,
        description="Steps in which a new classification head is trained alone before that, as gradients through a "
        "random head are mostly noise. A model without a new head has none.",
    )

    @property
    def max_steps(self) -> int:
        """The length of the search, at most: steps of the head, then batches."""
        return self.head_steps + self.direction_batches + self.batches

    @property
    def direction_batches(self) -> int:
        """A quarter of the scored batches, at least one."""
        return math.ceil(self.batches / 4)
