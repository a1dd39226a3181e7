"""An exported delta is hardly larger than its parameters."""

from __future__ import annotations

import torch
import transformers
from support import space

from core.export.card import structure_map
from core.model.deltafile import write_delta
from core.model.space import place
from core.run.selection import random_selection


def test_a_delta_of_the_papers_budget_takes_little_more_than_four_bytes_a_parameter(tmp_path):
    """T5-large at 1.389e-4, as the paper has it: 102,458 parameters at most."""
    shape = {"d_model": 1024, "d_kv": 64, "d_ff": 4096, "num_layers": 24, "num_heads": 16, "vocab_size": 32100}
    with torch.device("meta"):
        model = transformers.T5ForConditionalGeneration(transformers.T5Config(**shape))
    placed = place(space("mix-low-rank"), model)
    chosen = [placed[i] for i in random_selection([p.candidate.parameters for p in placed], 102_458, 0)]
    tensors = {
        f"{p.candidate.module}/{p.candidate.delta}/{name}": torch.zeros(weight.shape)
        for p in chosen
        for name, weight in p.delta.weights(p.site).items()
    }
    candidates = tuple(p.candidate for p in chosen)
    parameters = sum(c.parameters for c in candidates)
    assert parameters > 100_000
    (tmp_path / "delta.safetensors").write_bytes(write_delta(tensors, "t5-large", "cb", (), candidates))
    card = len(structure_map(candidates))
    assert (tmp_path / "delta.safetensors").stat().st_size + card < 1.1 * 4 * parameters + 64 * 1024
