"""Laws of answering that every family which writes obeys: padding changes nothing, likelihoods are right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from support import DECODERS, ENCODER_DECODERS, build, space, tokenizer
from torch.nn import functional as F

from core.model.backbone import Backbone, write_plainly
from core.model.gated import GatedModel
from core.model.space import place
from core.tasks import Example, Task
from core.tasks.batches import CUE, IGNORED_LABEL
from core.training.data import Data, encode
from core.training.evaluate import label_likelihoods, predict
from core.training.loss import loss_of

LABELS = ("bad", "very good", "0")
TEXTS = ("a film", "the story was very quite sad and the plot it was", "great book", "it seemed a bright day")
EXAMPLES = tuple(Example((("text", text),), i % 3) for i, text in enumerate(TEXTS))
TASK = Task("task", "classification", LABELS, {"train": EXAMPLES, "validation": EXAMPLES}, 24, ("accuracy",))
ROWS = range(len(TEXTS))

every_decoder = pytest.mark.parametrize("family", DECODERS)
every_writer = pytest.mark.parametrize("family", ENCODER_DECODERS | DECODERS)
# A decoder whose positions are relative, one that adds them, and an encoder-decoder; each with what reaches beyond the
# tokens of a pass, and with ranks that share weights.
some_writers = pytest.mark.parametrize("family", ["llama", "gpt2", "bart"])
SPACES = {
    "soft prompt": {"input": ["soft-prompt(length=3)"]},
    "prefix": {"block.{attn,cross}": ["prefix(length=3)"]},
    "ranks": {"{attn,cross}.{o,v}": ["lora(rank=[1, 2, 4])"]},
    "all": {
        "input": ["soft-prompt(length=[2, 3])"],
        "block.{attn,cross}": ["prefix(length=[1, 3])"],
        "{attn,cross}.o": ["lora(rank=[1, 2, 4])"],
    },
}
SEEN = 0.01  # a change of logits and likelihoods that the comparisons here would not pass over
every_space = pytest.mark.parametrize("table", SPACES.values(), ids=SPACES)


def backbone_of(family: str) -> Backbone:
    model, words = build(family), tokenizer(family)
    write_plainly(model, words)
    return Backbone(model, words, True, (), 0)


def data_of(backbone: Backbone) -> Data:
    return encode(TASK, backbone, torch.device("cpu"))


@contextmanager
def deltas_bound(backbone: Backbone, table: dict[str, list[str]]) -> Iterator[None]:
    """The backbone with the deltas of a space, half open, their weights large enough to change what it writes."""
    here = {pattern: deltas for pattern, deltas in table.items() if backbone.model.config.is_encoder_decoder}
    here = here or {pattern.replace("{attn,cross}", "attn"): deltas for pattern, deltas in table.items()}
    model = GatedModel(backbone.model, place(space(here), backbone.model))
    start = model.initial_weights(0)
    weights = start + 0.5 * torch.randn(start.shape, generator=torch.Generator().manual_seed(3))
    with model.bound(weights, torch.full((len(model.placed),), 0.5)):
        yield
    model.detach()


@every_decoder
def test_a_decoder_learns_from_its_answers_alone(family):
    backbone = backbone_of(family)
    batch = data_of(backbone).batch("train", ROWS)
    decode = backbone.tokenizer.decode
    # The first label is that of the last token which no answer has.
    first = int(batch["attention_mask"].shape[1] - batch["labels"].shape[1])
    assert first == min(len(row) for row in data_of(backbone).splits["train"].input_ids) - 1
    whole = batch | {"labels": F.pad(batch["labels"], (first, 0), value=IGNORED_LABEL)}
    for ids, mask, labels, example in zip(*whole.values(), EXAMPLES, strict=True):
        answered = labels != IGNORED_LABEL
        assert decode(ids[answered]) == f"{LABELS[int(example.label)]} </s>"
        assert torch.equal(ids[answered], labels[answered])
        prompt = ids[(mask == 1) & ~answered].tolist()
        assert prompt == backbone.tokenizer(f"task text: {example.fields[0][1]}{CUE}")["input_ids"]
    logits = backbone.model(**whole).logits
    # The token before each answer predicts its first one.
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), whole["labels"][:, 1:].flatten())
    torch.testing.assert_close(loss_of(backbone.model, batch, "fast"), expected)
    torch.testing.assert_close(loss_of(backbone.model, whole, "fast"), expected)


@every_decoder
def test_only_the_logits_that_answers_need_are_computed(family):
    backbone = backbone_of(family)
    batch = data_of(backbone).batch("train", ROWS)
    outputs: list[Any] = []
    handle = backbone.model.register_forward_hook(lambda module, args, output: outputs.append(output))
    loss_of(backbone.model, batch, "fast")
    handle.remove()
    assert outputs[0].logits.shape[1] == batch["labels"].shape[1] < batch["input_ids"].shape[1]


@every_decoder
def test_what_is_too_long_keeps_the_cue_and_the_answer(family):
    backbone = backbone_of(family)
    short = Task("task", "classification", LABELS, TASK.splits, 4, ("accuracy",))
    data = encode(short, backbone, torch.device("cpu"))
    cue = backbone.tokenizer(CUE)["input_ids"]
    (prompt,) = data.questions("train", [1])["input_ids"].tolist()
    assert len(prompt) == 4 + len(cue)
    assert prompt[4:] == cue
    labels = data.batch("train", [1])["labels"][0]
    assert labels[0] == IGNORED_LABEL
    assert labels[1:].min() >= 0


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
    check_likelihoods(backbone_of(family))


def test_a_prompt_is_read_once_for_all_labels():
    """All of it but its last token, which is read before each label, as is the label without its end of text."""
    backbone, read = backbone_of("llama"), list[int]()
    layer = backbone.model.get_submodule("model.layers.0")
    handle = layer.register_forward_pre_hook(lambda module, args: read.append(args[0].shape[1]))
    questions = data_of(backbone).questions("validation", ROWS)
    label_likelihoods(backbone, LABELS, questions)
    handle.remove()
    assert read == [questions["input_ids"].shape[1] - 1, 2, 3, 2]


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_ranked_per_token_a_longer_label_is_not_at_a_disadvantage(family):
    backbone = backbone_of(family)
    data = data_of(backbone)
    questions = data.questions("validation", ROWS)
    whole = label_likelihoods(backbone, LABELS, questions)
    tokens = torch.tensor([2, 3, 2])  # "very good" has one more; each has its end of text
    torch.testing.assert_close(label_likelihoods(backbone, LABELS, questions, per_token=True), whole / tokens)
    per_token = replace(data, answering="rank-per-token")
    answers = [answer for answer, _ in predict(backbone, per_token, "validation", 2)]
    assert answers == (whole / tokens).argmax(-1).tolist()


@some_writers
@every_space
def test_the_likelihood_of_a_label_is_that_of_the_loss_with_deltas(family, table):
    """What stands before the text is read once for all labels, and is there for each."""
    backbone = backbone_of(family)
    plain = label_likelihoods(backbone, LABELS, data_of(backbone).questions("validation", ROWS))
    with deltas_bound(backbone, table):
        changed = check_likelihoods(backbone)
    assert (changed - plain).abs().max() > SEEN


@some_writers
@every_space
def test_what_is_written_with_a_cache_is_what_is_written_without(family, table):
    """Each token goes through the model by itself, with the keys and values of those before: nothing is read twice."""
    backbone = backbone_of(family)
    data = data_of(backbone)
    plain, _ = generated(backbone, data, ROWS)
    with deltas_bound(backbone, table):
        (logits, ids), (uncached, same) = (generated(backbone, data, ROWS, use_cache=cache) for cache in (True, False))
        assert torch.equal(ids, same)
        torch.testing.assert_close(logits, uncached, rtol=1e-4, atol=1e-4)
        together = written(backbone, data, ROWS)
        assert together == [written(backbone, data, [row])[0] for row in ROWS]
    assert (logits[0] - plain[0]).abs().max() > SEEN
    assert torch.equal(generated(backbone, data, ROWS)[0], plain)


@torch.no_grad()
def check_likelihoods(backbone: Backbone) -> torch.Tensor:
    """The likelihoods of all rows and labels together, each compared with that of one text alone."""
    data = data_of(backbone)
    together = label_likelihoods(backbone, LABELS, data.questions("validation", ROWS))
    assert together.shape == (len(TEXTS), len(LABELS))
    for row in ROWS:
        for i, label in enumerate(LABELS):
            only = {"train": (Example(EXAMPLES[row].fields, i),)}
            task = Task("task", "classification", LABELS, only, 24, ("accuracy",))
            batch = encode(task, backbone, torch.device("cpu")).batch("train", [0])
            count = int((batch["labels"] != IGNORED_LABEL).sum())
            loss = loss_of(backbone.model, batch, "fast")
            torch.testing.assert_close(together[row, i], -loss * count, rtol=1e-4, atol=1e-4, msg=label)
    return together


@torch.inference_mode()
def generated(backbone: Backbone, data: Data, rows: object, use_cache: bool = True) -> tuple[torch.Tensor, ...]:
    """The logits of each token that is written (tokens, rows, vocabulary), and what is written (rows, tokens)."""
    batch = data.questions("validation", rows)
    result = backbone.model.generate(
        **batch, max_new_tokens=6, use_cache=use_cache, output_logits=True, return_dict_in_generate=True
    )
    begin = batch["input_ids"].shape[1] if backbone.is_decoder else 1
    return torch.stack(result.logits), result.sequences[:, begin:]


def written(backbone: Backbone, data: Data, rows: object) -> list[str]:
    return backbone.tokenizer.batch_decode(generated(backbone, data, rows)[1], skip_special_tokens=True)


def test_what_a_folder_recommends_for_writing_is_not_followed():
    model = build("bart")
    model.generation_config.update(num_beams=4, no_repeat_ngram_size=2, repetition_penalty=3.0)
    write_plainly(model, tokenizer("bart"))
    recommended = model.generation_config.to_diff_dict()
    assert not {"num_beams", "no_repeat_ngram_size", "repetition_penalty"} & recommended.keys()
    assert (model.generation_config.eos_token_id, model.generation_config.decoder_start_token_id) == (4, 4)
