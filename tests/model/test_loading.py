"""A trained structure on anybody's model: loaded from its file, and folded into the weights where that is the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support import EARLIER, ENCODERS, FAMILIES, assert_rounded_no_worse, batch, build, space

import core
from core.model.deltafile import write_delta
from core.model.gated import GatedModel
from core.model.space import place
from core.run.errors import RunDirError, S3Error

LINEAR = "{attn.{q,k,v,o,qkv},cross.{q,k,v,o},ffn.{in,gate,out,gate_in}}"
BLOCK = "block.{attn,cross,ffn}"
SMALL = ["lora(rank=1)", "bitfit"]
SPACES = {
    "lora": {LINEAR: ["lora(rank=2)"]},
    "bitfit": {LINEAR: ["bitfit"], "norm.*": ["bitfit"], BLOCK: ["bitfit"]},
    "lnfit": {"norm.*": ["lnfit"]},
    "ia3": {"{attn.{k,v,qkv},cross.{k,v}}": ["ia3"], "ffn.out": ["ia3"], BLOCK: ["ia3"]},
    "adapter": {"block.{attn,ffn}": ["adapter(bottleneck=2)"]},
    "low-rank-adapter": {"block.{attn,ffn}": ["low-rank-adapter(reduction=8)"]},
    "parallel-adapter": {"block.ffn": ["parallel-adapter(bottleneck=2)"]},
    "compacter": {"block.{attn,ffn}": ["compacter(reduction=8)"]},
    "prefix": {"block.attn": ["prefix(length=2)"]},
    "soft-prompt": {"input": ["soft-prompt(length=2)"]},
    "all-that-fold": {
        LINEAR: ["lora(rank=1)", "bitfit", "ia3"],
        "norm.*": ["lnfit", "bitfit"],
        BLOCK: ["ia3", "bitfit"],
    },
    "mixed": {
        LINEAR: ["lora(rank=1)", "bitfit", "ia3"],
        "block.{attn,ffn}": ["ia3", "bitfit", "adapter(bottleneck=2)"],
    },
}
FOLDED = ("lora", "bitfit", "lnfit", "ia3", "all-that-fold")
# Those of no weights are attached as they are when they are loaded.
MERGED = ("lora", "bitfit", "lnfit", "ia3", "all-that-fold", "mixed")


def has_no_place(family: str, name: str) -> bool:
    """DeBERTa attends in a way of its own, and a Gemma 2 cuts what it attends with: neither reads further keys."""
    return family in ("deberta-v2", "gemma2") and name in ("prefix", "soft-prompt")


CASES = [(family, name) for family in EARLIER for name in SPACES if not has_no_place(family, name)]
every_case = pytest.mark.parametrize(("family", "name"), CASES)


def trained(folder, family: str, table: dict[str, list[str]], head: float = 0.0):
    """A folder with a delta file of random weights; gives its candidates and what the model should answer."""
    model = build(family)
    placed = place(space(table), model)
    gated = GatedModel(model, placed)
    weights = gated.initial_weights(0)
    weights = weights + 0.1 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(3))
    tensors = {name: tensor.contiguous() for name, tensor in gated.named(weights).items()}
    own = {n: p + head for n, p in model.named_parameters() if family in ENCODERS and n.startswith("classifier.")}
    candidates = tuple(p.candidate for p in placed)
    for n, p in own.items():
        model.get_parameter(n).copy_(p)
    with gated.bound(weights, torch.ones(len(placed))) as network, torch.no_grad():
        logits = network(**batch(family)).logits
    data = write_delta(tensors | own, "tiny", "reviews", ("a", "b"), candidates)
    (folder / "delta.safetensors").write_bytes(data)
    return candidates, logits


def answers(model, family: str) -> torch.Tensor:
    with torch.no_grad():
        return model(**batch(family)).logits


def exact_answers(folder, family: str) -> torch.Tensor:
    """What the file in the folder makes of the model, in float64."""
    model = build(family).double()
    core.load_delta(model, folder)
    return answers(model, family)


@every_case
def test_a_loaded_delta_answers_as_the_run_did_and_comes_off_again(tmp_path, family, name):
    candidates, expected = trained(tmp_path, family, SPACES[name], head=0.3)
    model, plain = build(family), build(family)
    loaded = core.load_delta(model, tmp_path)
    assert loaded.candidates == candidates
    assert_rounded_no_worse(answers(model, family), expected, exact_answers(tmp_path, family))
    loaded.detach()
    assert torch.equal(answers(model, family), answers(plain, family))
    assert (expected - answers(plain, family)).abs().max() > 1e-3


@pytest.mark.parametrize(("family", "name"), [case for case in CASES if case[1] in MERGED])
def test_a_merged_delta_answers_the_same(tmp_path, family, name):
    """In float64 as the delta beside the weights does; in float32 as those merged weights do, rounded once."""
    candidates, _ = trained(tmp_path, family, SPACES[name])
    model, rounded, exact = build(family), build(family), build(family).double()
    merged = core.merge_delta(model, tmp_path)
    for other in (rounded, exact):
        core.merge_delta(other, tmp_path)
    expected = exact_answers(tmp_path, family)
    # Not nearer, as some networks normalise in float32 whatever they are in.
    assert (answers(exact, family) - expected).norm() <= 1e-6 * expected.norm()
    rounded.load_state_dict({key: tensor.float() for key, tensor in exact.state_dict().items()})
    assert_rounded_no_worse(answers(model, family), answers(rounded, family), expected)
    assert {c.name for c in merged.folded} | set(merged.left) == {c.name for c in candidates}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_changes_weights_is_folded_wherever_the_weights_are(tmp_path, family):
    for name in ("lora", "lnfit"):
        trained(tmp_path, family, SPACES[name])
        assert core.merge_delta(build(family), tmp_path).left == {}
    trained(tmp_path, family, SPACES["bitfit"])
    model = build(family)
    folded = core.merge_delta(model, tmp_path)
    assert all("has no bias" in why or "no linear layer" in why for why in folded.left.values())
    if family in ("bert", "bart", "gpt2", "deberta-v2", "distilbert"):
        assert folded.left == {}


@pytest.mark.parametrize("family", ["bert", "bart", "gpt2", "t5", "llama"])
def test_factors_are_folded_at_layers_and_sub_layers(tmp_path, family):
    trained(tmp_path, family, SPACES["ia3"])
    assert core.merge_delta(build(family), tmp_path).left == {}


def test_what_cannot_be_folded_is_told_with_the_reason_and_stays_attached(tmp_path):
    table = {
        "E0.attn.o": ["lora(rank=1)", "bitfit"],
        "E0.block.attn": ["adapter(bottleneck=2)"],
        "E1.attn.q": ["bitfit"],
    }
    _, expected = trained(tmp_path, "t5", table)
    model = build("t5")
    merged = core.merge_delta(model, tmp_path)
    assert [c.name for c in merged.folded] == ["E0.attn.o lora(rank=1)"]
    assert merged.left == {
        "E0.attn.o bitfit": "encoder.block.0.layer.0.SelfAttention.o has no bias",
        "E0.block.attn adapter(bottleneck=2)": "it is no change of weights",
        "E1.attn.q bitfit": "encoder.block.1.layer.0.SelfAttention.q has no bias",
    }
    merged.attached.detach()
    assert (answers(model, "t5") - expected).abs().max() > 1e-3


def test_a_weight_that_two_modules_share_is_not_folded_into(tmp_path):
    candidates, expected = trained(tmp_path, "gpt2", {"head": ["lora(rank=1)"]})
    model = build("gpt2")
    merged = core.merge_delta(model, tmp_path)
    assert merged.left == {candidates[0].name: "the weight of lm_head is shared with another module"}
    assert_rounded_no_worse(answers(model, "gpt2"), expected, exact_answers(tmp_path, "gpt2"))


def test_a_generated_text_is_that_of_the_loaded_structure(tmp_path):
    table = {"attn.*": ["lora(rank=2)"], "block.attn": ["prefix(length=2)"], "input": ["soft-prompt(length=2)"]}
    trained(tmp_path, "t5", table)
    model = build("t5")
    core.load_delta(model, tmp_path)
    tokens = {k: v for k, v in batch("t5").items() if k != "labels"}
    written = model.generate(**tokens, max_new_tokens=4, do_sample=False, eos_token_id=None)
    for length in range(1, 4):
        again = model(**tokens, decoder_input_ids=written[:, :length]).logits[:, -1].argmax(-1)
        assert torch.equal(written[:, length], again)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("empty", "holds no delta.safetensors: take a run that is finished"),
        ("damaged", "is damaged"),
        ("other family", "the model has no module 'bert.encoder.layer.0.attention.self.query'"),
        ("other head", "load it with num_labels=2"),
        ("other width", "is it the model of the run?"),
    ],
)
def test_what_cannot_be_loaded_is_told_and_leaves_the_model_as_it_was(tmp_path, change, words):
    import transformers

    trained(tmp_path, "bert", SPACES["lora"], head=0.5)
    config = build("bert").config
    if change == "other head":
        config.num_labels = 3
    if change == "other width":
        config.intermediate_size = 40
    model = build("distilbert") if change == "other family" else transformers.BertForSequenceClassification(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if change == "empty":
        (tmp_path / "delta.safetensors").unlink()
    if change == "damaged":
        (tmp_path / "delta.safetensors").write_bytes(b"half")
    for function in (core.load_delta, core.merge_delta):
        with pytest.raises(S3Error) as raised:
            function(model, tmp_path)
        assert words in str(raised.value)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_flipped_bit_in_what_was_trained_is_refused_by_every_reader(tmp_path):
    trained(tmp_path, "bert", SPACES["lora"], head=0.5)
    file, model = tmp_path / "delta.safetensors", build("bert")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    for function in (core.load_delta, core.merge_delta):
        with pytest.raises(RunDirError, match=r"is damaged: its content is not that of its digest"):
            function(model, tmp_path)


def test_a_file_of_before_the_digest_is_read(tmp_path):
    candidates, expected = trained(tmp_path, "bert", SPACES["lora"])
    file, model = tmp_path / "delta.safetensors", build("bert")
    with safe_open(file, "pt") as opened:
        about = json.loads(opened.metadata()["s3tui"])
    del about["sha256"]
    save_file(load_file(file), file, {"s3tui": json.dumps(about)})
    assert core.load_delta(model, tmp_path).candidates == candidates
    assert_rounded_no_worse(answers(model, "bert"), expected, exact_answers(tmp_path, "bert"))


def test_importing_core_loads_nothing_and_its_functions_are_there():
    program = (
        "import sys, core; print('torch' in sys.modules); print(core.load_delta.__name__, core.merge_delta.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "load_delta", "merge_delta"]
