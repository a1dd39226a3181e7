"""Every structure file of the paper's code loads, attaches, and has the candidates and parameters that its code counts.

The files are written here again from their form: which modules, which deltas, with which arguments.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from support import batch, build, loss_under
from test_paper_spaces import DELTAS, facts, network

from core.model.gated import GatedModel
from core.model.space import Placed, place, restore
from core.run.original import to_original
from core.run.spaces import library_space, original_space
from core.run.structure import Structure

ATTENTION = [f"SelfAttention.{x}" for x in "qkvo"]
LINEAR = [*ATTENTION, "DenseReluDense.wi", "DenseReluDense.wo"]
NORMS = ["layer_norm", "final_layer_norm"]
BLOCKS = ["DenseReluDense", "SelfAttention"]
BIAS = {"BitFitParallel": {}}


def all_with(modules: list[str], **insertions: Any) -> dict[str, Any]:
    return dict.fromkeys(modules, insertions)


def lora(**arguments: int) -> dict[str, Any]:
    return {"Lora": arguments}


FILES: dict[str, list[dict[str, Any]]] = {
    "mix_low_rank.json": [
        all_with(LINEAR, parallel=lora(lora_r=1), sequential=BIAS)
        | all_with(NORMS, parallel={"LNFit": {}}, sequential=BIAS),
        all_with(BLOCKS, sequential={"LowRankAdapter": {}}),
    ],
    "lora_qkvowiwo_rank1.json": [all_with(LINEAR, parallel=lora(lora_r=1))],
    "lora_qkvowiwo_rank2.json": [all_with(LINEAR, parallel=lora(lora_r=2))],
    "lora_rank1.json": [all_with(["SelfAttention.q", "SelfAttention.v"], parallel=lora(lora_r=1))],
    "lora.json": [all_with(["SelfAttention.q", "SelfAttention.v"], parallel=lora())],
    "adapter.json": [all_with(BLOCKS, sequential={"Adapter": {}})],
    "lra.json": [all_with(BLOCKS, sequential={"LowRankAdapter": {}})],
    "lnfit.json": [all_with(NORMS, parallel={"LNFit": {}})],
    "bitfit.json": [all_with([*LINEAR, *NORMS, "lm_head"], sequential=BIAS)],
}
SOFT_PROMPT = [{"encoder": {"sequential": {"SoftPrompt": {}}}}]
every_file = pytest.mark.parametrize("name", FILES)


def placed_on(name: str, groups: list[dict[str, Any]], model: torch.nn.Module) -> list[Placed]:
    return place(original_space(name, json.loads(json.dumps(groups))), model)


def test_every_file_of_the_facts_is_here():
    assert {name.partition("@")[0] for name in facts("t5-small")} == set(FILES)


@pytest.mark.parametrize("shape", ["t5-small", "t5-large"])
@every_file
def test_a_file_has_the_candidates_that_the_papers_code_counts(shape, name):
    expected = facts(shape)[name]
    placed = placed_on(name, FILES[name], network(shape, 32128))
    assert len(placed) == expected["n_positions"]
    assert sum(p.candidate.parameters for p in placed) == expected["trainable_weights"]
    ours = [f"{p.candidate.module}|{DELTAS[p.candidate.delta.split('(')[0]]}" for p in placed[:14]]
    assert ours == expected["first_keys"]
    for theirs, count in expected["by_delta_type"].items():
        of_type = [p.candidate for p in placed if DELTAS[p.candidate.delta.split("(")[0]].endswith(f"|{theirs}")]
        assert len(of_type) == count["positions"]
        assert sum(c.parameters for c in of_type) == count["params"]


def test_the_soft_prompt_of_the_paper_is_a_hundred_vectors_before_the_encoder():
    (placed,) = placed_on("softprompt.json", SOFT_PROMPT, network("t5-large", 32128))
    assert (placed.candidate.site, placed.candidate.module) == ("input", "encoder")
    assert placed.candidate.parameters == 100 * 1024
    (ours,) = place(library_space("soft-prompt"), network("t5-large", 32128))
    assert ours == placed


@pytest.mark.parametrize("name", [*FILES, "softprompt.json"])
def test_a_file_attaches_computes_and_is_written_again(name):
    model = build("t5")
    placed = placed_on(name, FILES.get(name, SOFT_PROMPT), model)
    gated = GatedModel(model, placed)
    weights = gated.initial_weights(0, original=True).requires_grad_()
    gates = torch.ones(len(placed))
    (gradient,) = torch.autograd.grad(loss_under(gated, weights, gates, batch("t5")), weights)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0
    chosen = tuple(p.candidate for p in placed)
    written = to_original(Structure(chosen, (1.0,) * len(chosen), tuple(range(len(chosen))), None))
    again = placed_on("found.json", written, build("t5"))
    assert {p.candidate for p in again} == set(chosen)
    assert restore(chosen, build("t5")) == placed


def test_a_file_of_single_modules_as_a_search_of_the_paper_ends_with_loads():
    """As in the averaged and transferred structures: full paths, the adapters in a group of their own."""
    found = [
        {
            "encoder.block.1.layer.1.DenseReluDense.wi": {"parallel": lora(lora_r=1)},
            "encoder.final_layer_norm": {"parallel": {"LNFit": {}}, "sequential": BIAS},
            "decoder.block.0.layer.1.layer_norm": {"sequential": BIAS},
            "decoder.block.1.layer.2.DenseReluDense.wo": {"parallel": lora(lora_r=1)},
        },
        {"decoder.block.1.layer.2.DenseReluDense": {"sequential": {"LowRankAdapter": {}}}},
    ]
    placed = placed_on("all_tasks_avg.json", found, build("t5"))
    assert [p.candidate.name for p in placed] == [
        "E1.ffn.in lora(rank=1)",
        "E.norm.final lnfit",
        "E.norm.final bitfit",
        "D0.norm.cross bitfit",
        "D1.ffn.out lora(rank=1)",
        "D1.block.ffn low-rank-adapter",
    ]
