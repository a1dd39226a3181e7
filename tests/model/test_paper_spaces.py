"""The spaces of the library have the candidates and parameters that the paper's own code counts, on its own shapes."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from support import DATA, space

from core.model.backbone import count_parameters
from core.model.space import place
from core.run.spaces import original_space
from core.run.spec import RunSpec

SHAPES = {
    "t5-large": {"d_model": 1024, "d_kv": 64, "d_ff": 4096, "num_layers": 24, "num_heads": 16},
    "t5-small": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
}
SPACES = {
    "mix_low_rank.json": "mix-low-rank",
    "lora_qkvowiwo_rank1.json": "lora-all-rank1",
    "lora.json": "lora",
    "adapter.json": "adapter",
    "bitfit.json": "bitfit",
    "lnfit.json": "lnfit",
    "lra.json": "low-rank-adapter",
}
DELTAS = {
    "lora": "parallel|Lora",
    "bitfit": "sequential|BitFitParallel",
    "lnfit": "parallel|LNFit",
    "adapter": "sequential|Adapter",
    "low-rank-adapter": "sequential|LowRankAdapter",
}
BUDGETS = {"1.389e-4": 102_458, "3.48e-5": 25_669}


def network(shape: str, vocabulary: int) -> torch.nn.Module:
    """The shape alone: no weights are made."""
    with torch.device("meta"):
        return transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=vocabulary, **SHAPES[shape]))


def facts(shape: str) -> dict:
    return json.loads((DATA / f"facts-{shape}.json").read_text())["configs"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("vocabulary", [32128, 32100])
def test_the_backbone_has_the_parameters_of_the_paper(shape, vocabulary):
    key = "mix_low_rank.json" + ("" if vocabulary == 32128 else f"@vocab{vocabulary}")
    assert count_parameters(network(shape, vocabulary)) == facts(shape)[key]["backbone_params"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SPACES)
def test_the_candidates_are_those_of_the_paper(shape, name):
    expected = facts(shape)[name]
    placed = place(space(SPACES[name]), network(shape, 32128))
    assert len(placed) == expected["n_positions"]
    assert sum(p.candidate.parameters for p in placed) == expected["trainable_weights"]
    first = [f"{p.candidate.module}|{DELTAS[p.candidate.delta.split('(')[0]]}" for p in placed[:14]]
    assert first == expected["first_keys"]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_kind_of_delta_has_its_share(shape):
    placed = place(space(), network(shape, 32128))
    for theirs, expected in facts(shape)["mix_low_rank.json"]["by_delta_type"].items():
        ours = [p.candidate for p in placed if DELTAS[p.candidate.delta.split("(")[0]].endswith(f"|{theirs}")]
        assert len(ours) == expected["positions"]
        assert sum(c.parameters for c in ours) == expected["params"]


def test_a_structure_file_of_the_original_is_a_space():
    lora = {"parallel": {"Lora": {"lora_r": 1}}, "sequential": {"BitFitParallel": {}}}
    norm = {"parallel": {"LNFit": {}}, "sequential": {"BitFitParallel": {}}}
    linear = [f"SelfAttention.{x}" for x in "qkvo"] + ["DenseReluDense.wi", "DenseReluDense.wo"]
    adapter = {"sequential": {"LowRankAdapter": {}}}
    theirs = [
        dict.fromkeys(linear, lora) | dict.fromkeys(["layer_norm", "final_layer_norm"], norm),
        {"DenseReluDense": adapter, "SelfAttention": adapter},
    ]
    model = network("t5-small", 32128)
    assert place(original_space("mix_low_rank.json", theirs), model) == place(space(), model)


@pytest.mark.parametrize("share", BUDGETS)
def test_a_share_of_t5_large_is_the_budget_of_the_paper(share):
    spec = RunSpec(model="t5-large", task={"name": "icd10-chapter"}, space=space(), budget=float(share))
    assert spec.parameter_budget(count_parameters(network("t5-large", 32100))) == BUDGETS[share]
