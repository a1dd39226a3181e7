"""The learning rates of a search, step by step."""

from __future__ import annotations

from core.run.training import SearchSettings
from core.training.optim import adamw


def learning_rates(settings: SearchSettings, total_steps: int, step: int) -> tuple[float, float]:
    """The learning rates of weights and alphas at this 0-based step: linear warm-up, then linear decay to 0."""
    weights = settings.learning_rate * adamw.linear_decay(step, total_steps, settings.warmup_steps)
    alphas = settings.alpha_learning_rate * adamw.linear_decay(step, total_steps, settings.alpha_warmup_steps)
    return weights, alphas
