"""The configurations of PEFT's methods for a plan, with constants at which they move as far as our deltas in a step.

With the default `alpha` a step of AdamW with the learning rate lr changes the output of a target by about lr, as that
of a bias would, under the assumptions of `core.model.deltas.balance`: features have a mean square of one.

    lora     A x has elements of size 1/sqrt(3), as the elements of A are uniform in +-1/sqrt(in) and B starts at zero:
             alpha / r = sqrt(3) / r^(3/4)
    eva      the rows of A are orthonormal, so A x has elements of size 1, if inputs were alike in all directions:
             alpha / r = 1 / r^(3/4)
    adalora  its penalty makes the r columns of B, of `out` elements, orthonormal, so these are of size 1/sqrt(out):
             alpha / r = sqrt(out) / r^(3/4)

SHiRA and LN tuning have no such constant. What a step changes there is up to r^(3/4) 2^(3/4) and 2 times as much.
"""

from __future__ import annotations

import math
from typing import Any

from transformers.pytorch_utils import Conv1D

from core.model.deltas.balance import summed
from core.model.targets import MOST_OF_EVA, Plan
from core.run.errors import SpecError
from core.tasks.randomness import seed_for
from core.training.data import total_steps
from core.training.setup import Setup

# AdaLoRA's schedule, in shares of the steps of training: before the first rank is taken away, and after the last one.
FIRST, LAST = 0.1, 0.3
ALLOCATIONS = 100  # at most, in between


def lora(setup: Setup, plan: Plan) -> Any:
    """A LoraConfig: h = W x + (alpha / r) B A x, each target with its rank. Hu et al. 2021, arXiv 2106.09685."""
    from peft import LoraConfig

    return LoraConfig(**_low_rank(setup, plan, math.sqrt(3)))


def eva(setup: Setup, plan: Plan) -> Any:
    """A LoraConfig whose A starts at the main directions of what targets read.

    Ranks go to the targets whose directions explain most, at most MOST_OF_EVA times the planned ones. Paischer et al.
    2024, arXiv 2410.07170.
    """
    from peft import EvaConfig, LoraConfig

    return LoraConfig(init_lora_weights="eva", eva_config=EvaConfig(rho=MOST_OF_EVA), **_low_rank(setup, plan, 1.0))


def adalora(setup: Setup, plan: Plan) -> Any:
    """An AdaLoraConfig: h = W x + (alpha / r) B diag(e) A x, in which e is pruned. Zhang et al. 2023, arXiv 2303.10512.

    Ranks fall by a cubic schedule from those of the plan to its total.
    """
    from peft import AdaLoraConfig

    total = total_steps(setup.spec.retrain, len(setup.data.splits["train"]))
    first = plan.targets[0].rank
    width = sum(target.site.outputs for target in plan.targets) / len(plan.targets)
    alpha: Any = setup.spec.peft.alpha or math.sqrt(width) * first / summed(first)
    return AdaLoraConfig(
        init_r=first,
        target_r=plan.total // len(plan.targets),
        lora_alpha=alpha,
        total_step=total,
        tinit=int(FIRST * total),
        tfinal=int(LAST * total),
        deltaT=max(1, total // ALLOCATIONS),
        **_at_targets(setup, plan),
    )


def ln_tuning(setup: Setup, plan: Plan) -> Any:
    """An LNTuningConfig: weights and biases of norms are trained. Zhao et al. 2023, arXiv 2312.11420."""
    from peft import LNTuningConfig

    return LNTuningConfig(target_modules=_paths(plan))


def shira(setup: Setup, plan: Plan) -> Any:
    """A ShiraConfig: r (in + out) elements of W are trained, drawn at random. Bhardwaj et al. 2024, arXiv 2406.13175.

    Raises SpecError if a target is no `nn.Linear`, as in a GPT-2.
    """
    from peft import ShiraConfig

    if _is_transposed(setup, plan):
        model = setup.spec.model
        raise SpecError(f"SHiRA in PEFT trains linear layers alone, those of {model} are Conv1D", "take another method")
    rank = plan.targets[0].rank
    return ShiraConfig(r=rank, random_seed=seed_for(setup.spec.seed, "shira"), target_modules=_paths(plan))


def _low_rank(setup: Setup, plan: Plan, size: float) -> dict[str, Any]:
    """The arguments of a LoraConfig, with alpha / r = `size` / r^(3/4) unless alpha is given."""
    settings = setup.spec.peft
    ranks = {target.site.module: target.rank for target in plan.targets}

    def alpha(rank: int) -> float:
        divisor = math.sqrt(rank) if settings.use_rslora else rank
        return settings.alpha or size * divisor / summed(rank)

    usual = max(ranks.values())
    others = {path: rank for path, rank in ranks.items() if rank != usual}
    return _at_targets(setup, plan) | {
        "r": usual,
        "lora_alpha": alpha(usual),
        "rank_pattern": others,
        "alpha_pattern": {path: alpha(rank) for path, rank in others.items()},
        "use_rslora": settings.use_rslora,
    }


def _at_targets(setup: Setup, plan: Plan) -> dict[str, Any]:
    return {"target_modules": _paths(plan), "lora_dropout": 0.0, "fan_in_fan_out": _is_transposed(setup, plan)}


def _paths(plan: Plan) -> list[str]:
    return [target.site.module for target in plan.targets]


def _is_transposed(setup: Setup, plan: Plan) -> bool:
    """Whether the weights of targets are (in, out), as in a GPT-2."""
    return any(isinstance(setup.backbone.model.get_submodule(path), Conv1D) for path in _paths(plan))
