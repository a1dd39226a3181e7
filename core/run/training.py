"""The settings of searching and of retraining, validated; see core.run.spec for how they make a run.

The descriptions of the fields are the reference of the TOML (docs/toml.md is generated from them).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What the paper's code does where ours differs.
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

# No sound setting is larger; what is fails far from where it was written: in a loop, in numpy, on a GPU.
MOST = 10**9  # of what is counted: steps, examples, tokens
MOST_SEED = 2**63 - 1  # a seed is a signed integer of 64 bits
LARGEST = 2**53  # of a real number: up to here a budget is kept to the last parameter

Positive = Annotated[int, Field(ge=1, le=MOST)]
NotNegative = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Rate = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NotNegativeReal = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Share = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """Immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    gradient_accumulation: Positive = Field(
        default=1, description="Batches whose gradients make one step; an epoch has that many times fewer steps."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Whether layers forget their activations and compute them again in the backward pass, which takes "
        "longer and much less memory.",
    )
    optimizer: Literal["adamw", "adafactor"] = Field(
        default="adamw",
        description="What moves the weights: AdamW, or Adafactor as T5 is fine-tuned with it (no relative steps, no "
        "scaling by the size of the parameters, so that `learning_rate` is the rate).",
    )
    learning_rate: Rate = Field(default=3e-4, description="Peak learning rate of the weights.")
    head_learning_rate: Rate | None = Field(
        default=None,
        description="Peak learning rate of a new classification head; by default that of the other weights.",
    )
    weight_decay: NotNegativeReal = Field(
        default=0.0, description="Weight decay of the weights, decoupled as AdamW has it."
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
    """The search: weights learn on one half of the training data, gates on the other."""

    bilevel: bool = Field(
        default=True,
        description="Whether gates and weights learn from different halves of the training data. If not, both learn "
        "from all of it, in one pass a step; that needs `first-order`.",
    )
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
    virtual_scaling: Literal["exact", "paper"] = Field(
        default="exact",
        description="Which weight step that correction differentiates: the step of the `optimizer` that is taken, or "
        "an SGD step (`paper`).",
    )
    strategy: Literal["shift", "tau-theta", "l0"] = Field(
        default="shift",
        description="How gates come from their alphas: a sigmoid, shifted so that the expected size is the budget "
        "(`shift`, the paper's); a softmax, scaled to the budget (`tau-theta`); or a sigmoid with a penalty on the "
        "expected number of open gates (`l0`), where the budget binds only the structure that is cut out.",
    )
    l0_lambda: NotNegativeReal = Field(
        default=0.0, description="Of `l0`: the weight of that penalty beside the validation loss."
    )
    shift_gradient: Literal["exact", "paper"] = Field(
        default="exact",
        description="The gradient through what keeps the expected size at the budget (the shift, or tau and theta of "
        "`tau-theta`): exact, or as if every candidate were of one size (`paper`).",
    )
    budget_decay_steps: NotNegative = Field(
        default=0,
        description="Steps over which the budget of the gates falls linearly from the whole space to `budget`. "
        "Evaluations, and what is cut out, are under `budget` all the while.",
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
        "soft ones can be wholly closed or open; `l0` has -0.1 and 1.1 where nothing else is said.",
    )
    stretch_high: Annotated[float, Field(ge=1, le=LARGEST, allow_inf_nan=False)] = Field(
        default=1.0, description="The other end of that interval."
    )
    temperature: Rate = Field(
        default=1.0,
        description="Divides the alphas of the gates (the paper's beta): larger is nearer to even odds. The lowest tau "
        "of `tau-theta`.",
    )
    final_temperature: Rate | None = Field(
        default=None, description="The temperature at the last step, reached linearly; by default it stays the same."
    )
    patience: Positive | None = Field(
        default=None,
        description="The search ends early when so many evaluations in a row found the same structure as the one "
        "before them; by default it never does.",
    )
    selection: Literal["first-fit", "knapsack"] = Field(
        default="first-fit",
        description="How the structure is cut out: the most probable candidates that still fit, one after the other, "
        "or the set with the largest sum of probabilities.",
    )

    @model_validator(mode="before")
    @classmethod
    def _hard_concrete(cls, data: Any) -> Any:
        """`l0` stretches its gates, as they could not be closed otherwise; written down, so that a spec says all."""
        stretched = isinstance(data, dict) and data.get("strategy") == "l0"
        return {"stretch_low": -0.1, "stretch_high": 1.1} | data if stretched else data

    @model_validator(mode="after")
    def _fit_together(self) -> SearchSettings:
        if not self.bilevel and self.hypergradient != "first-order":
            raise ValueError('bilevel = false looks ahead to no step: set hypergradient = "first-order" with it')
        if self.strategy != "l0" and self.l0_lambda:
            raise ValueError('l0_lambda is of strategy = "l0" alone; the others hold the budget by themselves')
        if self.strategy == "l0" and self.stretch_low == 0:
            raise ValueError('strategy = "l0" needs a stretch_low below 0, or no gate could ever be closed')
        if self.strategy == "l0" and self.budget_decay_steps:
            raise ValueError('strategy = "l0" holds no budget that could decay: leave budget_decay_steps out')
        return self


class RetrainSettings(Training):
    """Training of the structure that was cut out, from scratch, on the whole training set."""


class BipeftSettings(Frozen):
    """What `method = "bipeft"` has beside the keys of `search`; the defaults are those of its paper."""

    temperature: Rate = Field(default=5.0, description="Temperature of the Gumbel-softmax at the first step.")
    final_temperature: Rate = Field(
        default=1.0, description="That at the last step; in between it is on the line from one to the other."
    )
    smoothing: Share = Field(
        default=0.85, description="How much of the sensitivity of a module is kept at a step, the rest being new."
    )
    stability: Share = Field(
        default=0.85,
        description="Modules are pruned at a step where the most sensitive ones within the budget have at least this "
        "mean cosine similarity with those of the last `window` steps.",
    )
    window: Positive = Field(default=5, description="That number of steps.")
    pruning_steps: Positive = Field(
        default=100, description="Prunings from the whole space to the budget; the search ends with the last."
    )
    prune_after: NotNegative | None = Field(
        default=None,
        description="Steps before sensitivities are compared at all, as they mean little at first; by default a tenth "
        "of the search.",
    )
