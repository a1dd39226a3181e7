"""Gates: their probabilities as functions of alphas, and binary concrete samples.

For candidates i with n_i parameters and a budget of B parameters, the probabilities are, by strategy,

    shift       p_i = sigmoid((alpha_i - zeta) / beta),   where zeta solves   sum_i n_i p_i = B,
    tau-theta   p_i = theta softmax(alpha / tau)_i,       where theta solves  sum_i n_i p_i = B,
                                                          and tau >= beta is the smallest for which no p_i exceeds 1,
    l0          p_i = sigmoid(alpha_i / beta),

and the gates are, with u_i uniform in (0, 1) and limits l <= 0, r >= 1,

    z_i = clamp((r - l) sigmoid(logit u_i + logit p_i) + l, 0, 1),

so that z_i is more than half open with probability p_i (S3 paper, section 3, and its code for the other strategies;
Maddison et al. 2017 for the binary concrete; Louizos et al. 2018 for the stretch and l0). Of candidates that are
alternatives at most one is open, see `core.search.alternatives`; without any, `choices` is None. All functions are
pure, work on tensors in float64 and read nothing back to the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.search.alternatives import Choices

# A sigmoid in float64 is 0 or 1 up to rounding at arguments this large.
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
        low, high = _pair(probes, above)
    return (low + high) / 2


def _pair(values: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """The values (n) at a 0-dim index and after it; `values[first]` would read the index back to the host."""
    low, high = values.index_select(0, torch.stack([first, first + 1])).unbind()
    return low, high


def shift_logits(
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


def solve_tau(alpha: Tensor, parameters: Tensor, budget: float, temperature: float = 1.0) -> Tensor:
    """1 / tau (0-dim, float64) of `tau-theta`, with tau the smallest, not below `temperature`, that lets no p exceed 1.

    The largest p is budget / sum n_i exp((alpha_i - max alpha) / tau), which rises with 1 / tau: from budget / sum n
    at 0, so that it is at most 1 somewhere, and the bracket is narrowed as that of the shift.
    """
    alpha, parameters = alpha.detach().double(), parameters.double()
    behind = alpha - alpha.max()
    low = torch.zeros((), dtype=torch.float64, device=alpha.device)
    high = low + 1 / temperature
    steps = torch.linspace(0, 1, PROBES + 2, dtype=torch.float64, device=alpha.device)
    hottest = torch.exp(behind * high) @ parameters >= budget
    for _ in range(ROUNDS):
        probes = low + (high - low) * steps
        room = torch.exp(behind * probes[:, None]) @ parameters
        above = (room[1:-1] > budget).sum()
        low, high = _pair(probes, above)
    return torch.where(hottest, 1 / temperature, (low + high) / 2)


def tau_theta_logits(
    alpha: Tensor,
    parameters: Tensor,
    budget: float,
    temperature: float = 1.0,
    gradient: str = "exact",
    choices: Choices | None = None,
) -> tuple[Tensor, None]:
    """logit p of `tau-theta` (candidates, float64) with a gradient to alpha; there is no shift.

    `gradient = "exact"` follows theta, and tau by the implicit function theorem; `"paper"` holds both fixed.
    """
    a, n = alpha.double(), parameters.double()
    inverse = solve_tau(alpha, parameters, budget, temperature)
    if gradient == "paper":
        log_softmax = torch.log_softmax(inverse * a, 0)
        log_theta = math.log(budget) - torch.logsumexp(log_softmax.detach() + n.log(), 0)
        return _logit_of_log(log_theta + log_softmax), None
    # log of the largest p as a function of 1 / tau and alpha: where tau is not at its limit, it stays 0.
    largest = alpha.argmax()
    share = torch.softmax(inverse * a.detach() + n.log(), 0)
    to_alpha = inverse * (nn.functional.one_hot(largest, len(a)) - share)
    to_inverse = (a.detach().max() - share @ a.detach()).clamp_min(1e-300)
    change = (to_alpha * (a - a.detach())).sum() / to_inverse
    inverse = torch.where(inverse < 1 / temperature, inverse - change, inverse)
    return _logit_of_log(math.log(budget) + inverse * a - torch.logsumexp(inverse * a + n.log(), 0)), None


def _logit_of_log(log_p: Tensor) -> Tensor:
    """logit p from log p; a p of 1 or more is EPSILON less than 1, with no gradient."""
    log_p = log_p.clamp_max(math.log1p(-EPSILON))
    return log_p - torch.log(-torch.expm1(log_p))


def l0_logits(
    alpha: Tensor,
    parameters: Tensor,
    budget: float,
    temperature: float = 1.0,
    gradient: str = "exact",
    choices: Choices | None = None,
) -> tuple[Tensor, None]:
    """logit p of `l0` (candidates, float64), which knows of no budget; there is no shift."""
    return alpha.double() / temperature, None


def l0_penalty(logits: Tensor, low: float, high: float, hard: bool = False) -> Tensor:
    """The expected number of gates that are not closed (0-dim).

    That is sum_i P(z_i > 0) = sum_i sigmoid(logit p_i - log(-l / r)) (Louizos et al. 2018, equation 12); hard gates
    are closed up to one half, so for them it is sum_i p_i.
    """
    return torch.sigmoid(logits - (0.0 if hard else math.log(-low / high))).sum()


def stretched(openness: Tensor, low: float, high: float) -> Tensor:
    """Values in (0, 1) stretched to (low, high) and clamped to [0, 1]."""
    return (openness * (high - low) + low).clamp(0, 1)


def sample(
    logits: Tensor,
    u: Tensor,
    hard: bool = False,
    choices: Choices | None = None,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """Gates z (as u, fp32) for logit p (candidates) and uniform noise u (..., candidates).

    `hard` rounds what is more than half open to 1 and the rest to 0, and passes the gradient of the soft z straight
    through (Bengio et al. 2013).
    """
    noise = torch.logit(u.double().clamp(EPSILON, 1 - EPSILON))
    concrete = torch.sigmoid(noise + (logits if choices is None else choices.conditional(logits)))
    soft = stretched(concrete, low, high).float()
    z = soft + ((concrete > 0.5).float() - soft).detach() if hard else soft
    return z if choices is None else choices.exclusive(z)


# From alphas, parameters, budget, temperature, the kind of gradient and choices to logit p, and the shift if there is
# one. Only `shift` can have choices.
STRATEGIES: dict[str, Callable[[Tensor, Tensor, float, float, str, Choices | None], tuple[Tensor, Tensor | None]]] = {
    "shift": shift_logits,
    "tau-theta": tau_theta_logits,
    "l0": l0_logits,
}
