"""Damaged and unusable model folders: a run says in one line what is wrong with the model, and is not tried again."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from support import build, make_run, run_spec, save_model, save_reviews, tokenizer

from core.run.errors import EXIT_OK, EXIT_USAGE
from core.run.events import Failed, Space, read_events
from core.run.rundir import RunDir
from core.worker.execute import execute
from s3tui.scheduling.retry_policy import RETRIED

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    return save_reviews(tmp_path_factory.mktemp("data") / "reviews.jsonl", rows=60)


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: save_model(family, root / family) for family in ("bert", "roberta", "t5", "gpt2")}


def edit(folder: Path, file: str = "config.json", **changes: object) -> None:
    """Change keys of a JSON file; None takes one away."""
    data = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, {"format": "pt"})


def cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


class Bomb:
    """What a pickle may hold: a call that runs when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "ran"

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"bert": Bomb(folder), "filler": bytes(100_000)}))


def bytes_of(file: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(data)


def fewer_words(folder: Path) -> None:
    """A model of a smaller vocabulary beside the tokenizer of the larger one."""
    config = build("bert").config
    config.vocab_size = 20
    transformers.BertForSequenceClassification(config).save_pretrained(folder)


def without_end(folder: Path) -> None:
    words = tokenizer("gpt2")
    words.eos_token = None
    words.save_pretrained(folder)


def without_cache(folder: Path) -> None:
    """A decoder that keeps no keys and values, and is read once for all labels."""
    config = transformers.OpenAIGPTConfig(vocab_size=80, n_positions=40, n_embd=32, n_layer=1, n_head=2)
    transformers.OpenAIGPTLMHeadModel(config).save_pretrained(folder)


def with_boxes(folder: Path) -> None:
    """A model that reads pixels, and has the head that is asked for."""
    config = transformers.PerceiverConfig(num_latents=4, d_latents=16, d_model=8, num_blocks=1, num_labels=2)
    transformers.PerceiverForSequenceClassification(config).save_pretrained(folder)


# The family, what is done to its folder, and what is said.
DAMAGED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "half a file of weights": ("bert", cut, "cannot be loaded"),
    "an empty file of weights": ("bert", bytes_of(WEIGHTS, b""), "its weights are 0 bytes"),
    "garbage for weights": ("bert", bytes_of(WEIGHTS, b"garbage" * 20_000), "cannot be loaded"),
    "a pickle that runs code": ("bert", pickled, "cannot be loaded"),
    "a config that is no JSON": ("bert", bytes_of("config.json", b"{"), "cannot be loaded"),
    "a config of brackets": ("bert", bytes_of("config.json", b"[" * 100_000), "cannot be loaded"),
    "a config that is a list": ("bert", bytes_of("config.json", b"[]"), "cannot be loaded"),
    "a text for a width": ("bert", lambda f: edit(f, hidden_size="wide"), "hidden_size"),
    "a list for the layers": ("gpt2", lambda f: edit(f, n_layer=[2]), "n_layer"),
    "an activation that is none": ("bert", lambda f: edit(f, hidden_act="abc"), "makes no model: KeyError"),
    "a number for an activation": ("t5", lambda f: edit(f, feed_forward_proj="a-b-c"), "feed_forward_proj"),
    "heads that do not divide the width": ("bert", lambda f: edit(f, num_attention_heads=5), "makes no model"),
    "ten million layers": ("bert", lambda f: edit(f, num_hidden_layers=10_000_000), "num_hidden_layers = 10,000,000"),
    "a width that fills all memory": ("bert", lambda f: edit(f, hidden_size=400_000), "asks for"),
    "a vocabulary that fills all memory": ("gpt2", lambda f: edit(f, vocab_size=10**11), "asks for 3,2"),
    "a billion labels": ("bert", lambda f: edit(f, num_labels=10**9, id2label=None, label2id=None), "num_labels"),
    "positions that fill all memory": ("gpt2", lambda f: edit(f, n_positions=10**12), "asks for"),
    "a quantised folder": (
        "bert",
        lambda f: edit(f, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "are quantised",
    ),
    "an adapter": ("bert", bytes_of("adapter_config.json", b"{}"), "is an adapter of PEFT"),
    "tokens above the vocabulary": ("bert", fewer_words, "and the model knows 20"),
    "no end of text": ("gpt2", without_end, "has no end-of-text token"),
    "garbage for a tokenizer": ("bert", bytes_of("tokenizer.json", b"{}"), "cannot be loaded"),
    "a decoder without a cache": ("gpt2", without_cache, "cannot read an answer after its question"),
    "a width of nothing": ("bert", lambda f: edit(f, intermediate_size=0), "a weight of no elements"),
    "a text for a length": (
        "bert",
        lambda f: edit(f, "tokenizer_config.json", model_max_length="long"),
        "model_max_length of",
    ),
    "a model of pixels": ("bert", with_boxes, "model"),
    "a checkpoint of a wrapper": (
        "bert",
        lambda f: rewrite(f, lambda ts: {f"module.{k}": t for k, t in ts.items()}),
        "start with 'module.'",
    ),
    "a decoder that lacks a layer": (
        "gpt2",
        lambda f: rewrite(f, lambda ts: {k: t for k, t in ts.items() if ".h.1." not in k}),
        "tensors of the model (transformer.h.1.attn.c_attn.bias, ",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_model_that_cannot_be_used_is_one_line_and_no_crash(tmp_path, models, reviews, capsys, case):
    family, damage, words = DAMAGED[case]
    folder = shutil.copytree(models[family], tmp_path / "model")
    damage(folder)
    run = make_run(tmp_path / "run", run_spec(folder, reviews))
    assert execute(run) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert failed.kind == "model"
    assert failed.kind not in RETRIED
    assert words in f"{failed.message}: {failed.hint}"
    assert capsys.readouterr().err.strip().splitlines()[-1] == f"model: {failed.message}: {failed.hint}"
    assert "\n" not in failed.message + failed.hint
    assert not (folder / "ran").exists()


def loaded(run: RunDir) -> Space:
    """What a run has found its model to be."""
    assert execute(run) == EXIT_OK
    return next(e for e in read_events(run.events)[0] if isinstance(e, Space))


def test_only_a_head_and_a_pooler_may_be_new(tmp_path, models, reviews, capsys):
    folder = shutil.copytree(models["bert"], tmp_path / "model")
    whole = loaded(make_run(tmp_path / "whole", run_spec(folder, reviews)))
    rewrite(folder, lambda ts: {k: t for k, t in ts.items() if "pooler" not in k and "classifier" not in k})
    capsys.readouterr()
    bare = loaded(make_run(tmp_path / "bare", run_spec(folder, reviews)))
    assert bare.head_parameters == whole.head_parameters + 32 * 32 + 32
    assert bare.head_parameters + bare.backbone_parameters == whole.head_parameters + whole.backbone_parameters
    assert "not used" not in capsys.readouterr().err


def test_what_the_files_hold_beside_the_model_is_one_line_in_the_log(tmp_path, models, reviews, capsys):
    folder = shutil.copytree(models["bert"], tmp_path / "model")
    masked = {"cls.predictions.bias": torch.zeros(3), "cls.predictions.decoder.weight": torch.zeros(3, 3)}
    rewrite(folder, lambda ts: ts | masked)
    loaded(make_run(tmp_path / "run", run_spec(folder, reviews)))
    lines = [line for line in capsys.readouterr().err.splitlines() if "not used" in line]
    assert lines == [
        f"2 tensors in the files of {folder} are not of this model and not used: cls.predictions.bias, ..."
    ]


EXHAUSTED: dict[str, Callable[[], object]] = {
    "torch": lambda: torch.empty(1 << 50),
    "python": lambda: bytearray(1 << 62),
}


@pytest.mark.parametrize("who", EXHAUSTED)
def test_memory_that_is_exhausted_on_the_host_is_no_crash(tmp_path, models, reviews, monkeypatch, who):
    monkeypatch.setattr("core.worker.pipeline.find_structure", lambda *given: EXHAUSTED[who]())
    run = make_run(tmp_path / "run", run_spec(models["bert"], reviews))
    execute(run)
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert failed.kind == "out-of-memory"
