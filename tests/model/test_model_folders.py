"""Model folders as they are found: in shards, with a tensor under two names, without a padding token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import build, save_model, tokenizer

from core.model.backbone import Backbone, load_backbone
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
