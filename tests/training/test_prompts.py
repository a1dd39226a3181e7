"""What decoders read: templates, chats and examples, within the length of a task; and rows that are too long."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from support import save_model, tokenizer

from core.model.backbone import open_pretrained
from core.model.deltafile import Reading
from core.run.errors import DataError, ModelError, SpecError
from core.run.prompts import escaped, filled
from core.run.reader import Reader
from core.tasks import Example, Task
from core.tasks.batches import encode_split, prompts_of
from core.tasks.inputs import NO_ROOM, InputFormat
from core.tasks.lengths import lengths
from core.tasks.prompts import CUE, Prompts
from core.training.data import encode

CPU = torch.device("cpu")
LABELS = ("bad", "very good")
WORDS = ("film", "book", "day", "story", "plot", "good", "great", "fine", "sad", "dark", "mean", "cold")
ROWS = tuple(Example((("a", word), ("b", "it was the")), i % 2) for i, word in enumerate(WORDS))
TASK = Task("task", "classification", LABELS, {"train": ROWS[:10], "validation": ROWS[10:]}, 40, ("accuracy",))
TEMPLATE = "the {a} : {b} text "
CHAT = "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[assistant] "


def chat(messages: list[dict[str, str]]) -> str:
    return "".join(f"[{m['role']}] {m['content']} " for m in messages) + "[assistant] "


def inputs(prompt: str, shots: int = 0, **changes: object) -> InputFormat:
    return replace(InputFormat("prompt", prompt, shots), **changes)


def read(task: Task, form: InputFormat, split: str = "train") -> list[str]:
    """What the rows of a split are to the model, in words."""
    words = tokenizer("llama")
    words.chat_template = CHAT
    return [words.decode(ids) for ids in encode_split(task, split, words, form).input_ids]


def test_a_template_holds_the_columns_that_it_names():
    assert filled("{{x}} {a}-{b c}", {"a": "{1}", "b c": "2"}) == "{x} {1}-2"
    assert filled(escaped("{a} }{"), {}) == "{a} }{"
    assert read(TASK, inputs("{b} . {a} : "))[0] == "it was the . film :"
    assert read(TASK, inputs(TEMPLATE))[1] == "the book : it was the text"


def test_a_chat_is_what_the_tokenizer_makes_of_it():
    words = tokenizer("llama")
    with pytest.raises(SpecError, match=r'prompt = "chat": the tokenizer of the model has no chat template'):
        prompts_of(TASK, words, inputs("chat"))
    words.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(ModelError, match="the chat template of the model cannot write the texts of the task"):
        prompts_of(TASK, words, inputs("chat")).frame()
    words.chat_template = CHAT
    prompts = prompts_of(TASK, words, inputs("chat", 1))
    (example,) = prompts.examples_for(ROWS[-1])
    shown = f"[user] task a: {example.fields[0][1]} b: it was the [assistant] {LABELS[int(example.label)]} "
    assert prompts.write(ROWS[-1], [example]) == f"{shown}[user] task a: cold b: it was the [assistant] "


@pytest.mark.parametrize("prompt", ["paper", "chat", TEMPLATE])
def test_the_frame_filled_in_is_what_a_row_outside_of_training_reads(prompt):
    """So what an export remembers is what evaluation has read, with the examples."""
    prompts = Prompts(TASK, prompt, 2, 5, chat)
    row = TASK.splits["validation"][0]
    written = prompts.write(row, prompts.examples_for(row)) + prompts.ending
    assert prompts.frame().format(**dict(row.fields)) == written
    assert Reading(prompt=prompts.frame()).to_json() == {"prompt": prompts.frame()}


@pytest.mark.parametrize("shots", [2, 4, 8])
def test_examples_are_balanced_drawn_by_seed_and_never_the_row_itself(shots):
    prompts, again, other = (Prompts(TASK, "paper", shots, seed) for seed in (0, 0, 1))
    for row in ROWS:
        examples = prompts.examples_for(row)
        assert len({e.fields for e in examples} | {row.fields}) == shots + 1
        assert set(Counter(e.label for e in examples).values()) == {shots // 2}
        assert all(e in TASK.splits["train"] for e in examples)
        assert examples == again.examples_for(row)
    assert any(prompts.examples_for(row) != other.examples_for(row) for row in ROWS)
    alike = Counter(tuple(e.fields for e in prompts.examples_for(row)) for row in ROWS)
    assert max(alike.values()) == len(ROWS) - shots  # the others differ in one example


def test_rows_with_the_same_text_are_no_examples_of_each_other():
    twice = replace(TASK, splits={"train": (*ROWS[:4], *ROWS[:4]), "validation": ROWS[10:]})
    prompts = Prompts(twice, "paper", 3)
    assert all(row.fields not in {e.fields for e in prompts.examples_for(row)} for row in ROWS[:4])
    with pytest.raises(
        SpecError, match="shots = 4 examples and a row take 5 different training rows, task 'task' has 4"
    ):
        prompts_of(twice, tokenizer("llama"), inputs("paper", 4))


@pytest.mark.parametrize("prompt", ["paper", "chat", TEMPLATE])
@pytest.mark.parametrize("shots", [0, 2])
def test_what_is_too_long_loses_the_ends_of_its_own_texts_alone(prompt, shots):
    long = Example((("a", "good " * 80 + "sad"), ("b", "it was the")), 1)
    splits = {"train": TASK.splits["train"], "validation": (long,)}
    words = tokenizer("llama")
    words.chat_template = CHAT
    for most in (78, 79):
        task = replace(TASK, splits=splits, max_length=most)
        form = inputs(prompt, shots)
        whole = prompts_of(task, words, form)
        (ids,) = encode_split(task, "validation", words, form).input_ids
        ending = len(words(whole.ending, add_special_tokens=False)["input_ids"])
        assert len(ids) == most + ending
        if not whole.is_plain:
            full = whole.write(long, whole.examples_for(long)) + whole.ending
            lost = Counter(words(full, add_special_tokens=False)["input_ids"]) - Counter(ids)
            assert set(words.convert_ids_to_tokens(lost)) == {"good", "sad"}


def test_an_unknown_column_is_one_message():
    with pytest.raises(SpecError) as caught:
        prompts_of(TASK, tokenizer("llama"), inputs("{aa} {b}"))
    assert str(caught.value).startswith("prompt names {aa}, and the rows of task 'task' have a, b: did you mean 'a'?")


class Model:
    """A model that reads prompts, as far as encoding needs it."""

    tokenizer = tokenizer("llama")
    text_to_text = is_decoder = True


def test_rows_that_do_not_fit_with_their_answer_are_refused_or_dropped():
    """The longest label may follow each prompt: one that fits with its own alone cannot be ranked."""
    cue = len(tokenizer("llama")(CUE, add_special_tokens=False)["input_ids"])
    longest = Example((("a", "good " * 20), ("b", "it was the")), 0)
    splits = {"train": (*ROWS[:3], longest), "validation": (longest, *ROWS[3:5])}
    task = replace(TASK, splits=splits, max_length=24)
    fits = 24 + cue + 3  # "very good", and the end of text
    whole = encode(task, Model, CPU, inputs=inputs("paper", positions=fits))
    assert (len(whole.splits["train"]), whole.task.left_out) == (4, {})
    with pytest.raises(DataError) as caught:
        encode(task, Model, CPU, inputs=inputs("paper", positions=fits - 1))
    words = f"do not fit, with their answer, into the {fits - 1} tokens that the model reads"
    assert str(caught.value).startswith(f"2 rows {words} (of 7 rows): lower task.max_length")
    dropped = encode(task, Model, CPU, inputs=inputs("paper", positions=fits - 1, on_long_rows="drop"))
    assert dropped.task.left_out == {words: 2}
    assert [len(dropped.task.splits[s]) for s in ("train", "validation")] == [3, 2]
    for split, kept in (("train", [0, 1, 2]), ("validation", [1, 2])):
        assert list(dropped.splits[split].input_ids) == [whole.splits[split].input_ids[i] for i in kept]
        assert list(dropped.splits[split].labels) == [whole.splits[split].labels[i] for i in kept]
    with pytest.raises(DataError, match="on_long_rows leaves no row for train"):
        encode(task, Model, CPU, inputs=inputs("paper", positions=5, on_long_rows="drop"))


def test_labels_that_are_the_same_tokens_are_one_message():
    with pytest.raises(DataError, match="the labels 'zebra' and 'yak' are the same tokens to the model"):
        encode(replace(TASK, labels=("zebra", "yak")), Model, CPU, inputs=inputs("paper"))


def test_rows_for_whose_text_a_prompt_has_no_room_are_refused_or_dropped():
    task = replace(TASK, max_length=6)
    with pytest.raises(DataError, match=r"12 rows have no room .*12 rows\): raise task.max_length or shorten"):
        encode(task, Model, CPU, inputs=inputs("the the the the the {a} text "))
    first = Example((("a", ""), ("b", "x")), 0)
    some = replace(task, splits={"train": (*ROWS[:3], first), "validation": ROWS[3:5]})
    kept = encode(some, Model, CPU, inputs=inputs("the the the the {a} text "))
    assert len(kept.splits["train"]) == 4


def test_what_validate_counts_is_what_a_run_counts(tmp_path):
    """With the tokenizer alone, before a worker starts."""
    folder = save_model("llama", tmp_path)
    model = open_pretrained(str(folder))
    long = Example((("a", "good " * 50), ("b", "it")), 0)
    task = replace(TASK, splits={"train": (*ROWS[:9], long), "validation": (*ROWS[10:], long)}, max_length=38)
    for prompt, shots in (("paper", 0), (TEMPLATE, 1)):
        found = lengths(task, Reader(str(folder), prompt=prompt, shots=shots))
        form = inputs(prompt, shots, positions=40, on_long_rows="drop")
        assert found["lost"] == encode(task, model, CPU, inputs=form).task.left_out != {}
        assert found["cut"] == 2
    assert lengths(task, Reader(str(folder), prompt="the " * 37 + "{b} {a}"))["lost"] == {NO_ROOM: 13}
    with pytest.raises(SpecError, match=r"prompt names \{aa\}"):
        lengths(task, Reader(str(folder), prompt="{aa}"))
    bert = save_model("bert", tmp_path / "bert")
    with pytest.raises(SpecError, match=r"shots is for models that read a prompt, and .* is an encoder"):
        lengths(task, Reader(str(bert), shots=2))
