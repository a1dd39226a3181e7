"""A step reads nothing back to the host: on tensors without values, where reading one is an error, it runs through."""

from __future__ import annotations

import pytest
import torch
from support import batch, build, run_spec, space

from core.model.gated import GatedModel
from core.model.space import place
from core.search.alternatives import Choices
from core.search.bilevel import Problem, initial_state, one_level_step, search_step
from core.search.passes import Noise

META = torch.device("meta")


@pytest.mark.parametrize("family", ["t5", "bert"])
@pytest.mark.parametrize(
    "settings",
    [
        {"hypergradient": "first-order"},
        {"hypergradient": "forward-difference"},
        {"hypergradient": "central-difference", "clip_virtual": True, "gates": "hard"},
        {"hypergradient": "forward-difference", "optimizer": "adafactor"},
        {"hypergradient": "first-order", "strategy": "tau-theta"},
        {"hypergradient": "first-order", "strategy": "l0", "l0_lambda": 1.0, "bilevel": False},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_a_step_reads_nothing_back_to_the_host(family, settings):
    check(family, settings, "mix-low-rank")


def test_a_step_with_ranks_to_choose_from_reads_nothing_back_to_the_host():
    check("t5", {"hypergradient": "forward-difference"}, {"attn.{q,v}": ["lora(rank=[1, 2, 4])"]})


def check(family: str, settings: dict[str, object], table: str | dict[str, list[str]]) -> None:
    backbone = build(family).to(META).train()
    model = GatedModel(backbone, place(space(table), backbone))
    spec = run_spec("unused", "unused", search=settings).search
    costs = torch.tensor(model.parameters, device=META)
    choices = Choices.of(model.choices, torch.device("cpu"))
    there = None if choices is None else Choices(*(tensor.to(META) for tensor in vars(choices).values()))
    problem = Problem(model, costs, 1000, spec, 100, there)
    state = initial_state(problem, torch.zeros(model.layout.size, device=META))
    # Without a mask, at which transformers itself looks.
    train, validation = (
        [{k: v.to(META) for k, v in batch(family, seed=seed).items() if k != "attention_mask"}] for seed in (1, 2)
    )
    noise = Noise.draw(0, 0, len(model.placed), True, True, META)
    if spec.bilevel:
        after, _ = search_step(problem, state, train, validation, noise)
    else:
        after, _ = one_level_step(problem, state, train, noise)
    assert after.step == 1
