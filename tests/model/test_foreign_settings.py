"""What the files of a model do not decide: which code runs, and how attention is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support import EARLIER, batch, build, save_model

from core.model.backbone import Backbone, load_backbone, load_shape
from core.run.errors import ModelError

KERNEL = "somebody/attention@main:forward"
MARK = "import pathlib; pathlib.Path({!r}).touch()\n"
CODE = "configuration_own.OwnConfig"

# Settings of a folder that name code elsewhere.
NAMED: dict[str, dict[str, Any]] = {
    "attention": {"attn_implementation": KERNEL},
    "attention by its inner name": {"_attn_implementation": KERNEL, "_attn_implementation_internal": KERNEL},
    "attention by part": {"attn_implementation": {"": KERNEL, "text_config": KERNEL}},
    "another way to attend": {"attn_implementation": "eager"},
    "experts": {"experts_implementation": KERNEL, "_experts_implementation": KERNEL},
    "kernels": {"use_kernels": True, "kernel_config": {"kernel_mapping": {"RMSNorm": KERNEL}}},
    "code of its own": {
        "auto_map": dict.fromkeys(("AutoConfig", "AutoModelForSequenceClassification", "AutoModelForCausalLM"), CODE)
    },
    "a way to write": {"custom_generate": "somebody/generate"},
}


def load(folder: Path) -> Backbone:
    return load_backbone(str(folder), 2, False, torch.device("cpu"), torch.float32, 0)


def logits(backbone: Backbone, family: str) -> torch.Tensor:
    with torch.no_grad():
        return backbone.model(**batch(family)).logits


@pytest.fixture
def mark(tmp_path) -> Path:
    """A file that is there once code from a model's folder has run."""
    return tmp_path / "ran"


def with_code(folder: Path, mark: Path, family: str, settings: dict[str, Any]) -> Path:
    """A model with these settings in all of its files, and code where they could mean it to be."""
    save_model(family, folder)
    for file in ("config.json", "generation_config.json", "tokenizer_config.json"):
        path = folder / file
        if path.exists():
            path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    (folder / "custom_generate").mkdir()
    for place in (folder / "configuration_own.py", folder / "custom_generate" / "generate.py"):
        place.write_text(MARK.format(str(mark)))
    return folder


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("family", ["bert", "t5", "gpt2", "llama"])
def test_a_model_computes_as_transformers_chooses_whatever_its_files_name(tmp_path, mark, family, named):
    plain = load(save_model(family, tmp_path / "plain"))
    backbone = load(with_code(tmp_path / "model", mark, family, NAMED[named]))
    config: Any = backbone.model.config
    assert config._attn_implementation == plain.model.config._attn_implementation == "sdpa"  # type: ignore[union-attr]
    assert torch.equal(logits(backbone, family), logits(plain, family))
    shape, _ = load_shape(str(tmp_path / "model"))
    assert shape.config._attn_implementation == "sdpa"  # type: ignore[union-attr]
    assert not mark.exists()


@pytest.mark.parametrize("family", [*EARLIER, "qwen2_moe"])
def test_every_family_attends_as_transformers_does_by_default(tmp_path, family):
    model: Any = build(family)
    assert load(save_model(family, tmp_path)).model.config._attn_implementation == model.config._attn_implementation


def test_a_model_that_only_its_own_code_can_load_is_refused(tmp_path, mark):
    folder = with_code(tmp_path / "model", mark, "bert", {"auto_map": {"AutoConfig": CODE}, "model_type": "own"})
    with pytest.raises(ModelError, match="needs code of its own, which is run only if you say so"):
        load(folder)
    assert not mark.exists()


def test_a_pickle_of_tensors_alone_is_loaded(tmp_path):
    folder = save_model("bert", tmp_path)
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    expected = logits(load(folder), "bert")
    (folder / "model.safetensors").unlink()
    assert torch.equal(logits(load(folder), "bert"), expected)
