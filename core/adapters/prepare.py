"""Makes the adapter of a run, or that of its checkpoint."""

from __future__ import annotations

import torch

from core.adapters.activations import initialise
from core.adapters.package import adapted, check_installed, read_config
from core.adapters.trainee import AdapterTrainee, AllocatingTrainee
from core.run.methods import METHODS
from core.run.plugins import resolve
from core.runtime.checkpointer import Checkpointer
from core.tasks.randomness import seed_for
from core.training.optim.step_scale import head_scale
from core.training.setup import Setup


def adapter_of(setup: Setup, checkpointer: Checkpointer) -> AdapterTrainee:
    """The network with its adapter, ready to be trained; raises ModelError if PEFT is not installed."""
    row = METHODS[setup.spec.method]
    assert row.adapter is not None
    assert setup.plan is not None
    check_installed(f"method {row.name!r}")
    resumed = checkpointer.resumed
    torch.manual_seed(seed_for(setup.spec.seed, "adapter"))
    if resumed is not None:
        model = adapted(setup.backbone.model, read_config(resumed.facts["adapter"]))
    else:
        model = adapted(setup.backbone.model, resolve(row.code, f"method {row.name!r}")(setup, setup.plan))
        if getattr(model.peft_config["default"], "eva_config", None) is not None:
            initialise(model, setup, checkpointer.check)
    kind = AllocatingTrainee if row.adapter.allocates else AdapterTrainee
    return kind(setup, setup.plan, model, head_scale(setup.spec.retrain))
