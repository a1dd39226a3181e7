"""Model folders as they are found: in shards, with a tensor under two names, without a padding token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import batch, build, save_model, space, tokenizer

import core
from core.model.backbone import Backbone, load_backbone
from core.model.deltafile import write_delta
from core.model.gated import GatedModel
from core.model.space import place
from core.run.errors import ModelError
from core.tasks import Example, Task
from core.training.data import encode
from core.training.evaluate import label_likelihoods

LABELS = ("bad", "very good")
ROWS = tuple(Example((("text", text),), i) for i, text in enumerate(("a film", "the story was very quite sad")))
TASK = Task("task", "classification", LABELS, {"train": ROWS}, 24, ("accuracy",))


def load(folder: Path) -> Backbone:
    return load_backbone(str(folder), 2, False, torch.device("cpu"), torch.float32, 0)


def answers(backbone: Backbone) -> torch.Tensor:
    data = encode(TASK, backbone, torch.device("cpu"))
    return label_likelihoods(backbone, LABELS, data.questions("train", [0, 1])).detach()


def test_weights_in_shards_are_those_of_one_file(tmp_path):
    expected = answers(load(save_model("qwen2", tmp_path / "whole")))
    sharded = tmp_path / "sharded"
    build("qwen2").save_pretrained(sharded, max_shard_size="20KB")
    tokenizer("qwen2").save_pretrained(sharded)
    shards = sorted(sharded.glob("*.safetensors"))
    assert len(shards) > 2
    assert torch.equal(answers(load(sharded)), expected)
    shards[0].unlink()
    with pytest.raises(ModelError) as caught:
        load(sharded)
    assert "\n" not in str(caught.value)


def test_an_embedding_that_is_the_head_may_be_stored_under_either_name_or_both(tmp_path):
    folder = save_model("qwen2", tmp_path)
    expected, file = answers(load(folder)), folder / "model.safetensors"
    tensors = load_file(file)
    embedding = tensors.pop("model.embed_tokens.weight")
    for names in (("model.embed_tokens.weight", "lm_head.weight"), ("lm_head.weight",)):
        save_file(tensors | {name: embedding.clone() for name in names}, file, {"format": "pt"})
        backbone = load(folder)
        assert backbone.model.lm_head.weight is backbone.model.model.embed_tokens.weight
        assert torch.equal(answers(backbone), expected), names


def test_merging_keeps_an_embedding_that_is_the_head_and_says_what_it_left(tmp_path):
    """What would change one of the two alone is not folded; the rest is, and the folder still has one tensor."""
    folder = save_model("qwen2", tmp_path / "tied")
    model = load(folder).model
    gated = GatedModel(model, place(space({"attn.q": ["lora(rank=1)"], "head": ["lora(rank=1)"]}), model))
    weights = torch.randn(gated.layout.size, generator=torch.Generator().manual_seed(0))
    candidates = tuple(p.candidate for p in gated.placed)
    (folder / "delta.safetensors").write_bytes(write_delta(gated.named(weights), "tied", "t", (), candidates))
    gated.detach()
    merged = core.merge_delta(model, folder)
    assert merged.left == {"head lora(rank=1)": "the weight of lm_head is shared with another module"}
    assert [c.site for c in merged.folded] == ["attn.q", "attn.q"]
    merged.attached.detach()
    expected = model(**batch("qwen2")).logits
    model.save_pretrained(tmp_path / "merged")
    assert "lm_head.weight" not in load_file(tmp_path / "merged" / "model.safetensors")
    tokenizer("qwen2").save_pretrained(tmp_path / "merged")
    again = load(tmp_path / "merged").model
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert torch.equal(again(**batch("qwen2")).logits, expected)


def test_a_decoder_without_a_padding_token_answers_as_one_with_it(tmp_path):
    folder = save_model("llama", tmp_path)
    expected = answers(load(folder))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    backbone = load(folder)
    assert backbone.tokenizer.pad_token_id is None
    assert backbone.model.generation_config.pad_token_id == backbone.tokenizer.eos_token_id
    assert torch.equal(answers(backbone), expected)
