"""Tiny real models of every family, tokenizers and data for the tests: random weights, real architectures."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn

from core.model.gated import GatedModel
from core.run.rundir import RunDir
from core.run.spaces import SpaceSpec, inline_space, library_space
from core.run.spec import RunSpec
from core.training.data import Batch
from core.training.loss import loss_of

DATA = Path(__file__).parent / "data"

GOOD = ["good", "great", "fine", "lovely", "superb", "happy", "bright", "kind", "warm", "sweet"]
BAD = ["bad", "poor", "awful", "dreadful", "sad", "dark", "mean", "cold", "bitter", "grim"]
NEUTRAL = ["the", "a", "film", "book", "day", "was", "seemed", "very", "quite", "it", "and", "of", "story", "plot"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>"]
WORDS = ["task", "text", ":", "positive", "negative", *map(str, range(10)), "."]
VOCABULARY = SPECIAL + GOOD + BAD + NEUTRAL + WORDS


def t5(feed_forward: str = "relu", tied: bool = True, name: str = "T5") -> nn.Module:
    """A T5 of 2 + 2 layers; `gated-gelu` is v1.1."""
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(VOCABULARY), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, dropout_rate=0.1,
        feed_forward_proj=feed_forward, tie_word_embeddings=tied, decoder_start_token_id=0, pad_token_id=0,
        eos_token_id=4,
    )  # fmt: skip
    return getattr(transformers, f"{name}ForConditionalGeneration")(config)


def bart() -> nn.Module:
    """A BART of 2 + 2 layers; it starts its answers with the end of text, as the published ones do."""
    config = transformers.BartConfig(
        vocab_size=len(VOCABULARY), d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48,
        decoder_ffn_dim=48, encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=40,
        pad_token_id=0, bos_token_id=2, eos_token_id=4, decoder_start_token_id=4, forced_eos_token_id=None,
    )  # fmt: skip
    return transformers.BartForConditionalGeneration(config)


def _encoder(name: str, **extra: Any) -> nn.Module:
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=40, num_labels=2, pad_token_id=0, **extra,
    )  # fmt: skip
    return getattr(transformers, f"{name}ForSequenceClassification")(config)


def distilbert() -> nn.Module:
    """A DistilBERT of 2 layers."""
    config = transformers.DistilBertConfig(
        vocab_size=len(VOCABULARY), dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=40,
        num_labels=2, pad_token_id=0,
    )  # fmt: skip
    return transformers.DistilBertForSequenceClassification(config)


def deberta() -> nn.Module:
    """A DeBERTa of 2 layers as its third version is: positions are relative, and share the projections of the text."""
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
    return _encoder("DebertaV2", position_biased_input=False, position_buckets=8, **relative)


def gpt2() -> nn.Module:
    """A GPT-2 of 2 layers, its head tied to its embedding."""
    config = transformers.GPT2Config(
        vocab_size=len(VOCABULARY), n_embd=32, n_layer=2, n_head=4, n_inner=48, n_positions=40, bos_token_id=4,
        eos_token_id=4, pad_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def _decoder(name: str, **extra: Any) -> nn.Module:
    sizes: dict[str, Any] = {
        "vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 40, "pad_token_id": 0,
        "bos_token_id": 2, "eos_token_id": 4,
    }  # fmt: skip
    return transformers.AutoModelForCausalLM.from_config(getattr(transformers, f"{name}Config")(**sizes | extra))


# All experts are always asked, so that rounding does not decide which.
EXPERTS = {"num_experts_per_tok": 2, "output_router_logits": False}


ENCODER_DECODERS: dict[str, Callable[[], nn.Module]] = {
    "t5": t5,
    "t5-v1.1": lambda: t5("gated-gelu", tied=False),
    "mt5": lambda: t5("gated-gelu", tied=False, name="MT5"),
    "bart": bart,
}
ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "bert": lambda: _encoder("Bert"),
    "roberta": lambda: _encoder("Roberta"),
    "electra": lambda: _encoder("Electra", embedding_size=16),
    "deberta-v2": deberta,
    "distilbert": distilbert,
    # The second layer sees the nearest tokens alone, as most layers of the published ones do.
    "modernbert": lambda: _encoder(
        "ModernBert", layer_types=["full_attention", "sliding_attention"], local_attention=6, cls_token_id=2,
        sep_token_id=3, bos_token_id=2, eos_token_id=4,
    ),
    "albert": lambda: _encoder("Albert", embedding_size=16),
}  # fmt: skip
# Windows shorter than the texts, so that what leaves them is tested too.
DECODERS: dict[str, Callable[[], nn.Module]] = {
    "gpt2": gpt2,
    "llama": lambda: _decoder("Llama"),
    "mistral": lambda: _decoder("Mistral", sliding_window=6),
    "qwen2": lambda: _decoder("Qwen2", tie_word_embeddings=True),
    "qwen3": lambda: _decoder("Qwen3", head_dim=8),
    "phi3": lambda: _decoder("Phi3"),
    "gemma": lambda: _decoder("Gemma", head_dim=8),
    "gemma2": lambda: _decoder("Gemma2", head_dim=8, sliding_window=6),
    "gemma3": lambda: _decoder("Gemma3Text", head_dim=8, sliding_window=6),
    "gpt_neox": lambda: _decoder("GPTNeoX"),
    "opt": lambda: _decoder("OPT", ffn_dim=48, word_embed_proj_dim=16),
    "phi": lambda: _decoder("Phi", qk_layernorm=True),
    "olmo2": lambda: _decoder("Olmo2"),
    "smollm3": lambda: _decoder("SmolLM3", no_rope_layers=[1, 0]),
    "granite": lambda: _decoder("Granite", residual_multiplier=0.5, logits_scaling=2.0, embedding_multiplier=3.0),
    "qwen2_moe": lambda: _decoder(
        "Qwen2Moe", num_experts=2, moe_intermediate_size=24, shared_expert_intermediate_size=48, **EXPERTS
    ),
    "mixtral": lambda: _decoder("Mixtral", num_local_experts=2, **EXPERTS),
    "bloom": lambda: _decoder("Bloom", n_head=4, tie_word_embeddings=False),
    "falcon": lambda: _decoder("Falcon", ffn_hidden_size=48),
}
FAMILIES = ENCODER_DECODERS | ENCODERS | DECODERS
# Families that came later, each of whose modules is like one of an earlier family: left out of what tests no module.
LATER = ("modernbert", "albert", "gpt_neox", "opt", "phi", "olmo2", "smollm3", "granite", "qwen2_moe", "mixtral",
         "bloom", "falcon")  # fmt: skip
EARLIER = [family for family in FAMILIES if family not in LATER]


def loss_under(model: GatedModel, weights: torch.Tensor, gates: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The mean loss of a batch with these weights and gates."""
    with model.bound(weights, gates) as backbone:
        return loss_of(backbone, batch, "fast")


def build(family: str, seed: int = 0) -> nn.Module:
    """A frozen tiny model in evaluation mode, its weights drawn from the seed and large enough to matter."""
    torch.manual_seed(seed)
    model = FAMILIES[family]()
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "embed" not in name and "shared" not in name:
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return model.requires_grad_(False).eval()


@torch.no_grad()
def assert_rounded_no_worse(found: torch.Tensor, plain: torch.Tensor, exact: torch.Tensor, times: float = 2) -> None:
    """One way to compute something is as near to the exact result as the plain way in the same precision is.

    Both are measured by their distance from what a higher precision gives, as how a kernel rounds is the processor's
    own affair; `times` is how much farther the first may be.
    """
    assert found.dtype == plain.dtype != exact.dtype
    unit = torch.finfo(plain.dtype).eps * float(exact.norm())
    error, usual = (float((values.to(exact.dtype) - exact).norm()) for values in (found, plain))
    assert error <= times * usual + unit


def batch(family: str, rows: int = 6, length: int = 9, seed: int = 1) -> dict[str, torch.Tensor]:
    """Random tokens with padding in the last row, and labels of the family's kind."""
    place = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, len(VOCABULARY), (rows, length), generator=place)
    mask = torch.ones_like(ids)
    mask[-1, -3:] = 0
    labels = torch.randint(5, len(VOCABULARY), (rows, 3), generator=place)
    if family in ENCODERS:
        labels = labels[:, 0] % 2
    if family in DECODERS:
        labels = ids.masked_fill(mask == 0, -100)
        labels[:, :4] = -100
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": labels}


def tokenizer(family: str) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of words that frames a text as a BERT does, as a T5, or as a decoder: not at all."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    frames = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B:1 [SEP]:1"}
    if family in ENCODER_DECODERS:
        frames = {"single": "$A </s>", "pair": "$A $B </s>"}
    if family not in DECODERS:
        marks = [("[CLS]", 2), ("[SEP]", 3), ("</s>", 4)]
        words.post_processor = processors.TemplateProcessing(**frames, special_tokens=marks)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", eos_token="</s>", model_max_length=40
    )


def save_model(family: str, folder: Path) -> Path:
    """A model folder with weights and tokenizer, as a person would have one."""
    folder.mkdir(parents=True, exist_ok=True)
    build(family).save_pretrained(folder)
    tokenizer(family).save_pretrained(folder)
    return folder


def save_reviews(path: Path, rows: int = 240, number: bool = False) -> Path:
    """A jsonl of made-up reviews: the mood of most words is the label, or its share is the number to predict."""
    place = random.Random(0)
    with path.open("w") as file:
        for _ in range(rows):
            positive = place.random() < 0.5
            mood = place.choices(GOOD if positive else BAD, k=3)
            words = mood + place.choices(NEUTRAL, k=4)
            place.shuffle(words)
            label: object = round(place.random() + 4 * positive, 1) if number else ("bad", "good")[positive]
            file.write(json.dumps({"text": " ".join(words), "label": label}) + "\n")
    return path


def space(text: str | dict[str, list[str]] = "mix-low-rank") -> SpaceSpec:
    """A space by name, or from a table."""
    return library_space(text) if isinstance(text, str) else inline_space("own", text)


def run_spec(model: Path, data: Path, **changes: Any) -> RunSpec:
    """A short run of a tiny model on a file; `changes` replace keys, those of search and retrain key by key."""
    settings: dict[str, Any] = {
        "model": str(model),
        "task": {"path": str(data), "text": ["text"], "label": "label", "max_length": 24},
        "space": space(),
        "budget": 300,
        "precision": "fp32",  # whatever this processor would take
        "search": {"max_steps": 6, "eval_every": 3, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 0},
        "retrain": {"max_steps": 8, "eval_every": 4, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 0},
    }
    for part in ("search", "retrain"):
        settings[part] |= changes.pop(part, {})
    return RunSpec.model_validate(settings | changes)


def make_run(folder: Path, spec: RunSpec) -> RunDir:
    """A run directory that waits for its worker."""
    run = RunDir(folder)
    run.create(spec.model_dump(mode="json"))
    return run
