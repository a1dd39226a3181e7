"""Laws of decoders that answer with a classification head: what a row answers depends on that row alone."""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path

import pytest
import torch
from support import DECODERS, save_model, tokenizer
from torch.nn import functional as F
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from core.model.backbone import Backbone, load_backbone
from core.run.errors import ModelError
from core.tasks import Example, Task
from core.tasks.batches import CUE
from core.training.data import Data, encode
from core.training.evaluate import predict
from core.training.loss import loss_of

CPU = torch.device("cpu")
TEXTS = ("a film", "the story was very quite sad and the plot it was", "great book", "it seemed a bright day")
LABELS = ("bad", "very good", "0")
EXAMPLES = tuple(Example((("text", text),), i % 3) for i, text in enumerate(TEXTS))
TASK = Task("task", "classification", LABELS, {"train": EXAMPLES}, 24, ("accuracy",))
ROWS = range(len(TEXTS))
PAD = 0
# transformers has no head for a Granite.
HEADED = [family for family in DECODERS if family in (*MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES, "gemma3")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each family, made once."""
    root = tmp_path_factory.mktemp("headed")
    return cache(lambda family: save_model(family, root / family))


def load(folder: Path, outputs: int = 3, regression: bool = False) -> Backbone:
    backbone = load_backbone(str(folder), outputs, regression, CPU, torch.float32, 0, head=True)
    for name in backbone.head:  # large enough to matter
        backbone.model.get_parameter(name).normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    return backbone


def logits(backbone: Backbone, data: Data, rows: object = ROWS) -> torch.Tensor:
    with torch.no_grad():
        return backbone.model(**data.questions("train", rows)).logits


def test_all_decoders_but_one_have_a_head():
    assert set(DECODERS) - set(HEADED) == {"granite"}


@pytest.mark.parametrize("family", HEADED)
def test_an_answer_depends_on_no_padding(folders, family):
    backbone = load(folders(family))
    data = encode(TASK, backbone, CPU)
    batch = data.questions("train", ROWS)
    together = logits(backbone, data)
    assert (together[1:] - together[0]).abs().max() > 0.01  # else anything would pass
    close = {"rtol": 1e-4, "atol": 1e-5}
    for row in ROWS:
        torch.testing.assert_close(together[row], logits(backbone, data, [row])[0], **close)
    longer = {"input_ids": F.pad(batch["input_ids"], (0, 5), value=PAD), "attention_mask": padded(batch, 0, 5)}
    left = {"input_ids": moved(batch), "attention_mask": moved(batch, "attention_mask")}
    if "position_ids" in inspect.signature(backbone.model.forward).parameters:
        left["position_ids"] = (left["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        torch.testing.assert_close(backbone.model(**longer).logits, together, **close)
        torch.testing.assert_close(backbone.model(**left).logits, together, **close)


def padded(batch: dict[str, torch.Tensor], *sides: int) -> torch.Tensor:
    return F.pad(batch["attention_mask"], sides)


def moved(batch: dict[str, torch.Tensor], key: str = "input_ids") -> torch.Tensor:
    """The rows with three more tokens of padding, all of it on the left."""
    rows = [ids[mask == 1] for ids, mask in zip(batch[key], batch["attention_mask"], strict=True)]
    width = batch[key].shape[1] + 3
    return torch.stack([F.pad(row, (width - len(row), 0), value=PAD) for row in rows])


def test_the_answer_is_read_at_the_last_token_of_the_prompt(folders):
    backbone = load(folders("llama"))
    data = encode(TASK, backbone, CPU)
    prompt = backbone.tokenizer(f"task text: {TEXTS[1]}{CUE}")["input_ids"]
    (ids,) = data.questions("train", [1])["input_ids"].tolist()
    assert ids == prompt
    assert "token_type_ids" not in data.questions("train", [1])
    model = backbone.model
    with torch.no_grad():
        last = model.base_model(input_ids=torch.tensor([prompt])).last_hidden_state[0, -1]
    torch.testing.assert_close(logits(backbone, data, [1])[0], model.score(last), rtol=1e-4, atol=1e-5)


def test_a_tokenizer_that_pads_on_the_left_or_not_at_all_answers_the_same(folders, tmp_path):
    """Without a padding token, as in a GPT-2, the end of text pads, and the model is told so."""
    expected = logits(backbone := load(folders("gpt2")), encode(TASK, backbone, CPU))
    words = tokenizer("gpt2")
    words.padding_side = "left"
    save_model("gpt2", tmp_path)
    words.save_pretrained(tmp_path)
    other = load(tmp_path)
    torch.testing.assert_close(logits(other, encode(TASK, other, CPU)), expected)
    words.pad_token = None
    words.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    other = load(tmp_path)
    assert other.model.config.pad_token_id == other.tokenizer.eos_token_id == 4
    torch.testing.assert_close(logits(other, encode(TASK, other, CPU)), expected, rtol=1e-4, atol=1e-5)


def test_a_head_predicts_classes_and_numbers(folders):
    backbone = load(folders("llama"))
    data = encode(TASK, backbone, CPU)
    assert data.answering == "head"
    assert [answer for answer, _ in predict(backbone, data, "train", 2)] == logits(backbone, data).argmax(-1).tolist()
    batch = data.batch("train", ROWS)
    expected = F.cross_entropy(logits(backbone, data), torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(loss_of(backbone.model, batch, "fast"), expected)
    numbers = Task(
        "task", "regression", (), {"train": tuple(Example(e.fields, 2.5) for e in EXAMPLES)}, 24, ("pearson",)
    )
    backbone = load(folders("llama"), outputs=1, regression=True)
    data = encode(numbers, backbone, CPU)
    found = [answer for answer, _ in predict(backbone, data, "train", 4)]
    assert found == pytest.approx(logits(backbone, data).squeeze(-1).tolist())
    squared = ((logits(backbone, data).squeeze(-1) - 2.5) ** 2).mean()
    torch.testing.assert_close(loss_of(backbone.model, data.batch("train", ROWS), "fast"), squared)


@pytest.mark.parametrize(
    ("family", "words"), [("granite", "a 'granite' in transformers"), ("t5", "an encoder-decoder")]
)
def test_a_model_that_has_no_head_says_so(folders, family, words):
    with pytest.raises(ModelError, match=f"{words} has no head here: leave head = true out"):
        load(folders(family))


def test_an_encoder_has_its_head_whatever_is_asked_for(folders):
    found = load_backbone(str(folders("bert")), 2, False, CPU, torch.float32, 0, head=True)
    assert found.head == load_backbone(str(folders("bert")), 2, False, CPU, torch.float32, 0).head
