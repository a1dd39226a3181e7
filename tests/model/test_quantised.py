"""Folders with quantised weights: trained beside where their library is, and one line where it is not."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import batch, build, make_run, run_spec, save_model, save_reviews, space, tokenizer

import core
from core.export.writing import export
from core.model import quantised
from core.model.backbone import load_backbone, open_pretrained
from core.model.deltafile import write_delta
from core.model.space import place
from core.run.errors import EXIT_OK, EXIT_USAGE, ModelError
from core.run.events import Failed, read_events
from core.run.rundir import read_json
from core.sites import describe
from core.worker.execute import execute

CPU = torch.device("cpu")
TABLE = {"attn.{q,v}": ["lora(rank=1)"], "norm.*": ["lnfit"]}


def marked(folder: Path, method: str) -> Path:
    """A folder that says that its weights are quantised."""
    save_model("llama", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": method}}))
    return folder


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (
            "gptq",
            "are quantised by gptq, which needs nothing-1 and nothing-2: pip install nothing-1",
        ),
        ("bitsandbytes", "are quantised by bitsandbytes, which needs nothing: pip install nothing; or take the model"),
        ("vptq", "are quantised by vptq, which is not read here: take the model that it was made from"),
    ],
)
def test_what_cannot_be_read_here_is_one_line(tmp_path, monkeypatch, method, words):
    nothing = {"gptq": (("nothing_1", "nothing-1"), ("nothing_2", "nothing-2")), "bitsandbytes": (("no_", "nothing"),)}
    monkeypatch.setattr(quantised, "LIBRARIES", nothing)
    with pytest.raises(ModelError) as caught:
        open_pretrained(str(marked(tmp_path, method)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_folded_into_quantised_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(quantised, "LIBRARIES", {"awq": ()})
    model = build("llama")
    placed = place(space(TABLE), model)
    tensors = {
        f"{p.candidate.module}/{p.candidate.delta}/{name}": torch.zeros(weight.shape)
        for p in placed
        for name, weight in p.delta.weights(p.site).items()
    }
    (tmp_path / "delta.safetensors").write_bytes(write_delta(tensors, "m", "t", (), tuple(p.candidate for p in placed)))
    model.config.quantization_config = {"quant_method": "awq"}
    with pytest.raises(ModelError, match="awq, so nothing can be folded into them: export to delta or peft"):
        core.merge_delta(model, tmp_path)
    core.load_delta(model, tmp_path)
    (one,) = describe(str(marked(tmp_path / "awq", "awq")), [space(TABLE)])["spaces"]
    assert set(one["obstacles"]["merged"].values()) == {"the weights are quantised"}
    assert one["obstacles"]["peft"] == {}


def quantise(folder: Path, method: str, bits: int) -> Path:
    """A Llama in as many bits, with its tokenizer."""
    plain = save_model("llama", folder / "plain")
    write = compress if method == "compressed-tensors" else quantise_in_blocks
    write(plain, bits, folder / "small")
    tokenizer("llama").save_pretrained(folder / "small")
    return folder / "small"


def quantise_in_blocks(plain: Path, bits: int, folder: Path) -> None:
    """By bitsandbytes."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    config = BitsAndBytesConfig(**four if bits == 4 else {"load_in_8bit": True})
    model = AutoModelForCausalLM.from_pretrained(plain, quantization_config=config, device_map={"": "cpu"})
    model.save_pretrained(folder)


def compress(plain: Path, bits: int, folder: Path) -> None:
    """By compressed-tensors: integers of so many bits with a scale for each row."""
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus, apply_quantization_config
    from transformers import AutoModelForCausalLM

    weights = {"num_bits": bits, "type": "int", "symmetric": True, "strategy": "channel"}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    config = {"config_groups": groups, "ignore": ["lm_head"], "format": "pack-quantized"}
    model = AutoModelForCausalLM.from_pretrained(plain)
    apply_quantization_config(model, QuantizationConfig.model_validate(config))
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            module.weight_scale.data = module.weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
            module.quantization_status = QuantizationStatus.FROZEN
    compressor = ModelCompressor.from_pretrained_model(model, "pack-quantized")
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)


@pytest.mark.parametrize(
    ("method", "bits"),
    [("bitsandbytes", 4), ("bitsandbytes", 8), ("compressed-tensors", 4), ("compressed-tensors", 8)],
)
def test_deltas_are_trained_in_fp32_beside_quantised_weights(tmp_path, method, bits):
    """QLoRA's setting: the parameters are counted as they were before, and what is saved gives the run's answers."""
    pytest.importorskip(method.replace("-", "_"), reason="pip install 's3tui[quantised]'")
    folder, data = quantise(tmp_path, method, bits), save_reviews(tmp_path / "reviews.jsonl", rows=60)
    retrain = {"max_steps": 4, "eval_every": 4, "learning_rate": 0.05}
    spec = run_spec(folder, data, space=space(TABLE), retrain=retrain, search={"hypergradient": "first-order"})
    run = make_run(tmp_path / "run", spec)
    assert execute(run) == EXIT_OK
    plain = load_backbone(str(tmp_path / "plain"), 2, False, CPU, torch.float32, 0)
    result = read_json(run.result)
    assert result["backbone_parameters"] == plain.parameters
    assert math.isfinite(result["score"])
    trained = load_file(run.delta)
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}
    assert any(tensor.abs().max() > 0 for name, tensor in trained.items() if name.endswith("lora_B"))
    backbone = load_backbone(str(folder), 2, False, CPU, torch.float32, 0)
    with torch.no_grad():
        before = backbone.model(**batch("llama")).logits
        core.load_delta(backbone.model, run.path)
        assert (backbone.model(**batch("llama")).logits - before).abs().max() > 1e-3
    with pytest.raises(ModelError, match="nothing can be folded into them"):
        export(run.path, "merged", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    export(run.path, "delta", tmp_path / "delta")
    assert f"quantised by {method}" in (tmp_path / "delta" / "README.md").read_text()
    full = make_run(tmp_path / "full", run_spec(folder, data, method="full", budget=None, retrain=retrain))
    assert execute(full) == EXIT_USAGE
    failed = read_events(full.events)[0][-1]
    assert isinstance(failed, Failed)
    assert 'method = "full" cannot train them' in asdict(failed)["message"]
