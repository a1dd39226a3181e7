"""Gates: the shifted global sigmoid that holds the budget, and the binary concrete samples drawn from it.

For candidates i with n_i parameters and a budget of B parameters,

    p_i = sigmoid((alpha_i - zeta) / beta),   where zeta solves   sum_i n_i p_i = B,
    z_i = sigmoid(logit u_i + logit p_i),     u_i uniform in (0, 1),

so that z_i > 1/2 with probability p_i (S3 paper, section 3; Maddison et al. 2017 for the binary concrete).
Of candidates that are alternatives at most one is open, see `core.search.choices`; without any, `choices` is None. All
functions are pure, work on tensors in float64 and read nothing back to the host.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.search.choices import Choices

# Beyond this many betas from every alpha a sigmoid in float64 is 0 or 1 to the last bit that matters.
REACH = 60.0
# 13 rounds, each of which narrows the bracket 33 times: below the resolution of float64.
PROBES, ROUNDS = 32, 13
# The paper's code keeps u and p this far from 0 and 1.
EPSILON = 1e-7


def solve_shift(
    alpha: Tensor, parameters: Tensor, budget: float, temperature: float = 1.0, choices: Choices | None = None
) -> Tensor:
    """The shift zeta (0-dim, float64) at which sum n_i p_i = budget; NaN where an alpha is NaN.

    `alpha`, `parameters`: (candidates); 0 < budget <= sum n. The sum falls monotonically with zeta, so a bracket is
    narrowed by evaluating PROBES points at once, which keeps the number of kernels small on a GPU.
    """
    alpha, parameters = alpha.detach().double(), parameters.double()
    low = alpha.min() - REACH * temperature
    high = alpha.max() + REACH * temperature
    steps = torch.linspace(0, 1, PROBES + 2, dtype=torch.float64, device=alpha.device)
    for _ in range(ROUNDS):
        probes = low + (high - low) * steps
        spent = torch.sigmoid(_marginal((alpha - probes[:, None]) / temperature, choices)) @ parameters
        # The first probe under the budget and the one before it hold the root between them.
        above = (spent[1:-1] > budget).sum()
        low, high = probes[above], probes[above + 1]
    return (low + high) / 2


def gate_logits(
    alpha: Tensor,
    parameters: Tensor,
    budget: float,
    temperature: float = 1.0,
    gradient: str = "exact",
    choices: Choices | None = None,
) -> tuple[Tensor, Tensor]:
    """logit p (candidates, float64) with a gradient to alpha, and zeta.

    `gradient = "exact"` is that of the implicit function: d zeta / d alpha_i = n_i s_i / sum_j n_j s_j with
    s = p (1 - p). `"paper"` differentiates p / sum p * constant with zeta held fixed, which keeps the number of open
    gates, not that of their parameters (the original's `shift_detach`).
    """
    shift = solve_shift(alpha, parameters, budget, temperature, choices)
    if gradient == "paper":
        p = torch.sigmoid(_marginal((alpha.double() - shift) / temperature, choices)).clamp(EPSILON, 1 - EPSILON)
        return torch.logit(p / p.sum() * p.sum().detach()), shift
    n = parameters.double()
    fixed = (alpha.detach().double() - shift) / temperature
    slopes = n * torch.sigmoid(fixed) * torch.sigmoid(-fixed)
    if choices is not None:
        slopes = choices.slopes(torch.sigmoid(choices.marginal(fixed)), n)
    # Zero in value; its gradient is the implicit one.
    change = ((alpha.double() - alpha.detach().double()) * slopes).sum() / slopes.sum().clamp_min(1e-300)
    return _marginal((alpha.double() - shift - change) / temperature, choices), shift


def _marginal(logits: Tensor, choices: Choices | None) -> Tensor:
    return logits if choices is None else choices.marginal(logits)


def sample(logits: Tensor, u: Tensor, hard: bool = False, choices: Choices | None = None) -> Tensor:
    """Binary concrete gates z (candidates, fp32) for logit p and uniform noise u.

    `hard` rounds z to 0 or 1 and passes the gradient of the soft z straight through (Bengio et al. 2013).
    """
    noise = torch.logit(u.double().clamp(EPSILON, 1 - EPSILON))
    soft = torch.sigmoid(noise + (logits if choices is None else choices.conditional(logits))).float()
    z = soft + ((soft > 0.5).float() - soft).detach() if hard else soft
    return z if choices is None else choices.exclusive(z)
