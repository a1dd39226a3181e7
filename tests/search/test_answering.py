"""Laws of answering that every family which writes obeys: padding changes nothing, likelihoods are right."""

from __future__ import annotations

import pytest
import torch
from support import DECODERS, ENCODER_DECODERS, build, tokenizer
from torch.nn import functional as F

from core.model.backbone import Backbone, write_plainly
from core.search.data import Data, encode
from core.search.evaluate import label_likelihoods
from core.tasks import Example, Task
from core.tasks.batches import CUE, IGNORED_LABEL

LABELS = ("bad", "very good", "0")
TEXTS = ("a film", "the story was very quite sad and the plot it was", "great book", "it seemed a bright day")
EXAMPLES = tuple(Example((("text", text),), i % 3) for i, text in enumerate(TEXTS))
TASK = Task("task", "classification", LABELS, {"train": EXAMPLES, "validation": EXAMPLES}, 24, ("accuracy",))
ROWS = range(len(TEXTS))

every_decoder = pytest.mark.parametrize("family", DECODERS)
every_writer = pytest.mark.parametrize("family", ENCODER_DECODERS | DECODERS)


def backbone_of(family: str) -> Backbone:
    model, words = build(family), tokenizer(family)
    write_plainly(model, words)
    return Backbone(model, words, True, (), 0)


def data_of(backbone: Backbone) -> Data:
    return encode(TASK, backbone, torch.device("cpu"))


@every_decoder
def test_a_decoder_learns_from_its_answers_alone(family):
    backbone = backbone_of(family)
    batch = data_of(backbone).batch("train", ROWS)
    decode = backbone.tokenizer.decode
    for ids, mask, labels, example in zip(*batch.values(), EXAMPLES, strict=True):
        answered = labels != IGNORED_LABEL
        assert decode(ids[answered]) == f"{LABELS[int(example.label)]} </s>"
        assert torch.equal(ids[answered], labels[answered])
        prompt = ids[(mask == 1) & ~answered].tolist()
        assert prompt == backbone.tokenizer(f"task text: {example.fields[0][1]}{CUE}")["input_ids"]
    logits = backbone.model(**batch).logits
    # The token before each answer predicts its first one.
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
    torch.testing.assert_close(backbone.model(**batch).loss, expected)


@every_decoder
def test_what_is_too_long_keeps_the_cue_and_the_answer(family):
    backbone = backbone_of(family)
    short = Task("task", "classification", LABELS, TASK.splits, 4, ("accuracy",))
    data = encode(short, backbone, torch.device("cpu"))
    cue = backbone.tokenizer(CUE)["input_ids"]
    (prompt,) = data.questions("train", [1])["input_ids"].tolist()
    assert len(prompt) == 4 + len(cue)
    assert prompt[4:] == cue
    assert data.batch("train", [1])["labels"][0, len(prompt) :].min() >= 0


@every_decoder
def test_answers_do_not_depend_on_who_shares_the_batch(family):
    backbone = backbone_of(family)
    data = data_of(backbone)
    together = written(backbone, data, ROWS)
    alone = [written(backbone, data, [row])[0] for row in ROWS]
    assert together == alone
    assert len(set(together)) > 1  # else anything would pass


@every_writer
def test_the_likelihood_of_a_label_is_that_of_the_loss(family):
    """With padding and a shared reading of the source, as one text alone gives it in one pass."""
    backbone = backbone_of(family)
    data = data_of(backbone)
    together = label_likelihoods(backbone, LABELS, data.questions("validation", ROWS))
    assert together.shape == (len(TEXTS), len(LABELS))
    for row in ROWS:
        for i, label in enumerate(LABELS):
            only = {"train": (Example(EXAMPLES[row].fields, i),)}
            task = Task("task", "classification", LABELS, only, 24, ("accuracy",))
            batch = encode(task, backbone, torch.device("cpu")).batch("train", [0])
            count = int((batch["labels"] != IGNORED_LABEL).sum())
            loss = backbone.model(**batch).loss
            torch.testing.assert_close(together[row, i], -loss * count, rtol=1e-4, atol=1e-4, msg=label)


@torch.inference_mode()
def written(backbone: Backbone, data: Data, rows: object) -> list[str]:
    batch = data.questions("validation", rows)
    ids = backbone.model.generate(**batch, max_new_tokens=6)
    return backbone.tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def test_what_a_folder_recommends_for_writing_is_not_followed():
    model = build("bart")
    model.generation_config.update(num_beams=4, no_repeat_ngram_size=2, repetition_penalty=3.0)
    write_plainly(model, tokenizer("bart"))
    recommended = model.generation_config.to_diff_dict()
    assert not {"num_beams", "no_repeat_ngram_size", "repetition_penalty"} & recommended.keys()
    assert (model.generation_config.eos_token_id, model.generation_config.decoder_start_token_id) == (4, 4)
