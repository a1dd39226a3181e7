"""Every task of the paper: its source text word for word, its labels, splits, lengths and metrics."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from core.run.errors import DataError
from core.run.task_spec import NamedTask
from core.run.tasks import TASKS
from core.tasks import Task, load_task
from core.tasks.batches import source_text, target_text
from core.tasks.metrics import METRICS
from core.tasks.named import TABLE

ARTICLE = "It rained.\n@highlight\nSnow fell\n@highlight\nHe said 'go'\n@highlight\nThe end"
CONTEXT = "The Café (1999) cost $3.50."
MULTIRC = {"paragraph": "<b>Sent 1: </b>We met.<br>Twice.", "question": "Who <b>met</b>?", "answer": "We"}

# For each task a row as the hub has it, and the source and the target that are to be made of it.
ROWS: dict[str, tuple[dict, str, str]] = {
    "cola": ({"sentence": "He go.", "label": 0}, "cola sentence: He go.", "0"),
    "sst2": ({"sentence": "a gem ", "label": 1}, "sst2 sentence: a gem ", "1"),
    "mrpc": (
        {"sentence1": "A b .", "sentence2": "B a .", "label": 1},
        "mrpc sentence1: A b . sentence2: B a .", "1",
    ),
    "qqp": (
        {"question1": "Why?", "question2": "How so?", "label": 0},
        "qqp question1: Why? question2: How so?", "0",
    ),
    "stsb": (
        {"sentence1": "A plane.", "sentence2": "A bird.", "label": 3.25},
        "stsb sentence1: A plane. sentence2: A bird.", "3.2",
    ),
    "mnli": (
        {"premise": "It is.", "hypothesis": "So it is.", "label": 2},
        "mnli premise: It is. hypothesis So it is.", "2",
    ),
    "qnli": ({"question": "Who?", "sentence": "Me.", "label": 1}, "qnli question: Who? sentence: Me.", "1"),
    "rte": ({"sentence1": "No A.", "sentence2": "A.", "label": 1}, "rte sentence1: No A. sentence2: A.", "1"),
    "wnli": (
        {"sentence1": "It fell.", "sentence2": "I fell.", "label": 0},
        "wnli sentence1: It fell. sentence2: I fell.", "0",
    ),
    "superglue-boolq": (
        {"question": "is it so", "passage": "It -- is so.", "label": 1},
        "superglue-boolq question: is it so passage: It -- is so.", "1",
    ),
    "superglue-cb": (
        {"premise": "A: Uh. B: No.", "hypothesis": "No", "label": 2},
        "superglue-cb premise: A: Uh. B: No. hypothesis: No", "2",
    ),
    "superglue-copa": (
        {"premise": "It fell.", "choice1": "It broke.", "choice2": "It flew.", "question": "effect", "label": 0},
        "superglue-copa premise: It fell. choice1: It broke. choice2: It flew. question: effect", "0",
    ),
    "superglue-multirc": (
        MULTIRC | {"idx": {"paragraph": 0, "question": 3, "answer": 9}, "label": 1},
        "superglue-multirc question: Who met? answer: We paragraph: Sent 1: We met. Twice.", "1",
    ),
    "superglue-rte": (
        {"premise": "No A.", "hypothesis": "A.", "label": 0},
        "superglue-rte premise: No A. hypothesis: A.", "0",
    ),
    "superglue-wic": (
        {"word": "place", "sentence1": "A place.", "sentence2": "Place it.", "label": 0},
        "superglue-wic sentence1: A place. sentence2: Place it. word: place", "0",
    ),
    "superglue-wsc.fixed": (
        {
            "text": "Mark told Pete lies about himself, which he wrote down.",
            "span1_text": "Mark", "span1_index": 0, "span2_text": "he", "span2_index": 7, "label": 0,
        },
        "superglue-wsc.fixed text: * Mark * told Pete lies about himself, which # he # wrote down.", "0",
    ),
    "superglue-record": (
        {"passage": ARTICLE, "query": "@placeholder fell", "entities": ["Snow", "Rain"], "answers": ["Snow"]},
        "superglue-record record query: @placeholder fell entities: Snow, Rain "
        "passage: It rained. Snow fell. He said 'go' The end", "Snow",
    ),
    "squad": (
        {"question": "How much?", "context": CONTEXT, "answers": {"text": ["$3.50"], "answer_start": [21]}},
        "squad question: How much ?  context: The Café ( 1999 ) cost $ 3 . 50 . ", " $ 3 . 50",
    ),
}  # fmt: skip
VARIANTS = {"mnli_matched": "mnli", "mnli_mismatched": "mnli"}
CHOICES = [*ROWS, *VARIANTS]

# Labels (a kind where there are none), metrics and length, as the paper's table has them.
FACTS = {
    "cola": ("0 1", "matthews", 128),
    "sst2": ("0 1", "accuracy", 128),
    "mrpc": ("0 1", "f1 accuracy", 128),
    "qqp": ("0 1", "f1 accuracy", 128),
    "stsb": ("regression", "pearson spearman", 128),
    "mnli": ("0 1 2", "accuracy", 128),
    "mnli_matched": ("0 1 2", "accuracy", 128),
    "mnli_mismatched": ("0 1 2", "accuracy", 128),
    "qnli": ("0 1", "accuracy", 128),
    "rte": ("0 1", "accuracy", 256),
    "wnli": ("0 1", "accuracy", 128),
    "superglue-boolq": ("0 1", "accuracy", 256),
    "superglue-cb": ("0 1 2", "macro_f1 accuracy", 256),
    "superglue-copa": ("0 1", "accuracy", 256),
    "superglue-multirc": ("0 1", "f1 question_exact_match", 256),
    "superglue-rte": ("0 1", "accuracy", 256),
    "superglue-wic": ("0 1", "accuracy", 256),
    "superglue-wsc.fixed": ("0 1", "accuracy", 256),
    "superglue-record": ("text", "exact_match token_f1", 512),
    "squad": ("text", "exact_match token_f1", 512),
}
LARGE = {"sst2", "qqp", "mnli", "mnli_matched", "mnli_mismatched", "qnli", "superglue-record", "squad"}


def rows_of(name: str, count: int) -> list[dict]:
    """Copies of the row of a task; those of MultiRC are answers to questions, two to each."""
    row = ROWS[VARIANTS.get(name, name)][0]
    questions = [{"paragraph": 0, "question": 100 + i // 2, "answer": i} for i in range(count)]
    return [row | ({"idx": questions[i]} if "idx" in row else {}) for i in range(count)]


def put(folder: Path, split: str, rows: list[dict], extension: str = ".jsonl") -> Path:
    path = folder / f"{split}{extension}"
    folder.mkdir(parents=True, exist_ok=True)
    if extension == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif extension == ".parquet":
        import datasets

        datasets.Dataset.from_list(rows).to_parquet(str(path))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(
                {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()} for row in rows
            )
    return path


def put_task(root: Path, name: str, extension: str = ".jsonl", train: int = 8, validation: int = 8) -> None:
    put(root / name, "train", rows_of(name, train), extension)
    put(root / name, "validation", rows_of(name, validation), extension)


def load(root: Path, name: str, data_seed: int = 0, **keys) -> Task:
    return load_task(NamedTask(name=name, data_root=str(root), **keys), data_seed)


def message(root: Path, name: str, **keys) -> str:
    with pytest.raises(DataError) as caught:
        load(root, name, **keys)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_task_of_the_table_is_tested():
    assert set(CHOICES) == set(FACTS) == set(TABLE) == set(TASKS.own) - {"icd10-chapter"}
    assert {metric for entry in TABLE.values() for metric in entry.metrics} <= set(METRICS)
    assert {name for name, entry in TABLE.items() if entry.size == "large"} == LARGE


@pytest.mark.parametrize("extension", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("name", CHOICES)
def test_a_task_reads_and_writes_what_the_paper_has(tmp_path, name, extension):
    put_task(tmp_path, name, extension)
    task = load(tmp_path, name)
    _, source, target = ROWS[VARIANTS.get(name, name)]
    for split in ("train", "validation", "test"):
        assert {source_text(task, example) for example in task.splits[split]} == {source}
        assert {target_text(task, example) for example in task.splits[split]} == {target}


@pytest.mark.parametrize("name", FACTS)
def test_labels_metrics_and_lengths_are_those_of_the_table(tmp_path, name):
    put_task(tmp_path, name)
    task = load(tmp_path, name)
    labels, metrics, length = FACTS[name]
    assert (" ".join(task.labels) or task.kind, " ".join(task.metrics), task.max_length) == (labels, metrics, length)
    assert load(tmp_path, name, max_length=99).max_length == 99


@pytest.mark.parametrize("name", FACTS)
def test_small_sets_halve_validation_and_large_ones_take_from_training(tmp_path, name):
    put_task(tmp_path, name, train=20, validation=12)
    counts = [len(rows) for rows in load(tmp_path, name).splits.values()]
    assert counts == ([10, 10, 12] if name in LARGE else [20, 6, 6])


def numbered(count: int, **columns: object) -> list[dict]:
    return [{"sentence": str(i), "label": i % 2} | columns for i in range(count)]


def texts(task: Task, split: str) -> list[str]:
    return [example.fields[0][1] for example in task.splits[split]]


def test_large_sets_give_2000_rows_to_validation(tmp_path):
    put(tmp_path / "sst2", "train", numbered(4500))
    put(tmp_path / "sst2", "validation", [{"sentence": "held out", "label": 1}] * 3)
    task = load(tmp_path, "sst2")
    assert [len(rows) for rows in task.splits.values()] == [2500, 2000, 3]
    assert set(texts(task, "train")) | set(texts(task, "validation")) == set(map(str, range(4500)))
    assert set(texts(task, "test")) == {"held out"}


def test_halves_are_disjoint_and_follow_the_data_seed_alone(tmp_path):
    put(tmp_path / "cola", "train", numbered(2))
    put(tmp_path / "cola", "validation", numbered(41))
    first, same, other = (load(tmp_path, "cola", seed) for seed in (0, 0, 1))
    assert first == same
    assert texts(first, "validation") != texts(other, "validation")
    assert (len(texts(first, "validation")), len(texts(first, "test"))) == (20, 21)
    assert sorted(texts(first, "validation") + texts(first, "test"), key=int) == [str(i) for i in range(41)]


def test_a_label_may_be_true_or_false_in_the_file(tmp_path):
    rows = [{"question": "q", "passage": "p", "label": value} for value in (True, False)]
    for split in ("train", "validation"):
        put(tmp_path / "superglue-boolq", split, rows)
    assert [example.label for example in load(tmp_path, "superglue-boolq").splits["train"]] == [1, 0]


def test_a_test_file_is_not_read(tmp_path):
    put_task(tmp_path, "cola")
    put(tmp_path / "cola", "test", [{"sentence": "hidden", "label": -1}])
    assert "hidden" not in texts(load(tmp_path, "cola"), "test")


# The flaws of the paper's code.


def test_copa_can_be_had_without_its_question(tmp_path):
    put_task(tmp_path, "superglue-copa")
    task = load(tmp_path, "superglue-copa", flaws="paper")
    assert (
        source_text(task, task.splits["train"][0])
        == "superglue-copa premise: It fell. choice1: It broke. choice2: It flew."
    )


def groups(task: Task, split: str) -> list[int]:
    return [example.group for example in task.splits[split]]


def test_multirc_keeps_questions_whole_unless_the_paper_is_asked_for(tmp_path):
    put_task(tmp_path, "superglue-multirc", validation=40)
    task, torn = (load(tmp_path, "superglue-multirc", flaws=flaws) for flaws in ("mended", "paper"))
    assert not set(groups(task, "validation")) & set(groups(task, "test"))
    assert len(set(groups(task, "validation"))) == len(set(groups(task, "test"))) == 10
    assert set(groups(torn, "validation")) & set(groups(torn, "test"))
    assert len(torn.splits["validation"]) == len(torn.splits["test"]) == 20


@pytest.mark.parametrize(("flaws", "texts"), [("mended", ["2.4", "3.6", "5.0"]), ("paper", ["2.3", "3.6", "5.0"])])
def test_sts_b_is_written_to_a_fifth_unless_the_paper_is_asked_for(tmp_path, flaws, texts):
    rows = [{"sentence1": "a", "sentence2": "b", "label": label} for label in (2.333, 3.6, 5.0)]
    for split in ("train", "validation"):
        put(tmp_path / "stsb", split, rows)
    task = load(tmp_path, "stsb", flaws=flaws)
    assert [target_text(task, example) for example in task.splits["train"]] == texts
    assert [example.label for example in task.splits["train"]] == [2.333, 3.6, 5.0]


# Formats with rules of their own.


def test_the_marks_of_wsc_stand_where_the_words_are(tmp_path):
    spans = {"text": "He saw the man. The man  saw him.", "label": 1, "span1_text": "The man", "span1_index": 4}
    rows = [
        spans | {"span2_text": "He", "span2_index": 0},  # the pronoun may come first
        spans | {"span2_text": "him.", "span2_index": 7},  # two spaces are no word
        spans | {"span2_text": "she", "span2_index": 1},  # a span that is not there stays unmarked
        spans | {"span2_text": "(x", "span2_index": 99},
    ]
    for split in ("train", "validation"):
        put(tmp_path / "superglue-wsc.fixed", split, rows)
    assert texts(load(tmp_path, "superglue-wsc.fixed"), "train") == [
        "# He # saw the man. * The man *  saw him.",
        "He saw the man. * The man *  saw # him. #",
        "He saw the man. * The man *  saw him.",
        "He saw the man. * The man *  saw him.",
    ]


def test_each_answer_of_record_is_learned_and_each_question_is_asked_once(tmp_path):
    row = ROWS["superglue-record"][0] | {"answers": ["Snow", "Rain"]}
    put(tmp_path / "superglue-record", "train", [row] * 8)
    put(tmp_path / "superglue-record", "validation", [row] * 3)
    task = load(tmp_path, "superglue-record")
    assert [len(rows) for rows in task.splits.values()] == [8, 4, 3]
    assert [target_text(task, example) for example in task.splits["train"][:2]] == ["Snow", "Rain"]
    assert {example.answers for example in task.splits["test"]} == {("Snow", "Rain")}


def test_the_two_tests_of_mnli_share_their_training_rows(tmp_path):
    rows = {"train": "t", "validation_matched": "m", "validation_mismatched": "mm"}
    for split, text in rows.items():
        put(tmp_path / "mnli", split, [{"premise": text, "hypothesis": str(i), "label": 0} for i in range(6)])
    tasks = {name: load(tmp_path, name) for name in ("mnli", "mnli_matched", "mnli_mismatched")}
    assert {name: set(texts(task, "test")) for name, task in tasks.items()} == {
        "mnli": {"m"}, "mnli_matched": {"m"}, "mnli_mismatched": {"mm"},
    }  # fmt: skip
    assert all(task.splits["train"] == tasks["mnli"].splits["train"] for task in tasks.values())
    assert {task.name for task in tasks.values()} == {"mnli"}


# What can be wrong with the data.


def test_a_task_that_is_not_in_the_root_says_what_to_put_where(tmp_path):
    put_task(tmp_path, "cola")
    (tmp_path / "cola/validation.jsonl").unlink()
    assert message(tmp_path, "cola") == (
        f"data_root {tmp_path} has no rows for 'validation' of task 'cola': "
        f"put a file called validation into {tmp_path / 'cola'}, which ends with .jsonl, .ndjson, .json, .csv, .tsv, "
        ".txt, .parquet, .arrow, .feather, .xlsx"
    )
    assert "has no rows for 'train' of task 'rte'" in message(tmp_path, "rte")


@pytest.mark.parametrize("name", ROWS)
def test_a_missing_column_is_named(tmp_path, name):
    put_task(tmp_path, name)
    for column in ROWS[name][0]:
        path = put(
            tmp_path / name, "train", [{k: v for k, v in row.items() if k != column} for row in rows_of(name, 8)]
        )
        assert message(tmp_path, name).startswith(f"{path} has no column {column!r}: ")


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("cola", {"label": 2}, "line 2: the label is '2': known: 0, 1"),
        ("cola", {"label": "yes"}, "line 2: the label is 'yes': known: 0, 1"),
        (
            "cola",
            {"label": -1},
            "line 2: the label is '-1': rows without labels can be neither learned from nor scored",
        ),
        ("cola", {"label": None}, "line 2 has no 'label': fill it in or leave the row out"),
        ("cola", {"sentence": None}, "line 2 has no 'sentence': fill it in or leave the row out"),
        ("stsb", {"label": -1.0}, "line 2: the label is -1.0: rows without labels"),
        ("stsb", {"label": None}, "line 2 has no 'label'"),
        ("squad", {"answers": {"text": [], "answer_start": []}}, "line 2 has no answers: rows without labels"),
        ("superglue-record", {"answers": []}, "line 2 has no answers: rows without labels"),
        ("superglue-multirc", {"idx": {"paragraph": 1}}, "line 2 is not of the form that 'superglue-multirc' has"),
    ],
)
def test_a_faulty_row_is_named_with_its_file(tmp_path, name, change, says):
    put_task(tmp_path, name)
    rows = rows_of(name, 3)
    # In a file of one column type, "yes" is possible only where all labels are texts.
    rows = [row | {"label": str(row["label"])} for row in rows] if change.get("label") == "yes" else rows
    for split in ("validation", "train"):
        path = put(tmp_path / name, split, [rows[0], rows[1] | change, rows[2]])
        assert message(tmp_path, name).startswith(f"{path}: {says}")
        put(tmp_path / name, split, rows)


def test_a_list_that_a_csv_does_not_hold_as_json_is_told(tmp_path):
    rows = [row | {"entities": "Snow; Rain"} for row in rows_of("superglue-record", 4)]
    for split in ("train", "validation"):
        put(tmp_path / "superglue-record", split, rows, ".csv")
    assert " is not of the form that 'superglue-record' has on the hub" in message(tmp_path, "superglue-record")


@pytest.mark.parametrize("name", ["cola", "sst2"])
def test_a_single_row_cannot_be_split(tmp_path, name):
    put_task(tmp_path, name, train=1, validation=1)
    assert message(tmp_path, name).startswith(f"task {name!r} has too few rows to split: ")
