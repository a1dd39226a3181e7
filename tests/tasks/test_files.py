"""Files of one's own: every format gives the same rows, every mistake one clear sentence."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from core.run.errors import DataError
from core.run.task_spec import FileTask
from core.tasks import Task, load_task

CORRECT = 'correct them or leave these rows out, or set on_bad_rows = "drop"'
FORMATS = (".jsonl", ".csv", ".tsv", ".parquet")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared GLUE and SuperGLUE files are not here")


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        import datasets

        datasets.Dataset.from_list(rows).to_parquet(str(path))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def reviews(n: int = 40, labels: tuple = ("good", "bad")) -> list[dict]:
    return [{"title": f't{i}, "so"', "body": f"naïve\nbody {i}", "stars": labels[i % len(labels)]} for i in range(n)]


def load(path: Path, data_seed: int = 0, **keys) -> Task:
    return load_task(FileTask(**({"path": str(path), "text": ["title", "body"], "label": "stars"} | keys)), data_seed)


def message(path: Path, **keys) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **keys)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("extension", FORMATS)
def test_every_format_gives_the_same_task(tmp_path, extension):
    rows = reviews()
    task = load(write(tmp_path / f"reviews{extension}", rows))
    assert task == load(write(tmp_path / "other" / "reviews.jsonl", rows))
    assert (task.name, task.kind, task.labels) == ("reviews", "classification", ("bad", "good"))
    fields = (("title", rows[0]["title"]), ("body", rows[0]["body"]))
    assert fields in {example.fields for split in task.splits.values() for example in split}


@pytest.mark.parametrize("extension", FORMATS)
def test_numbers_with_a_decimal_point_are_predicted_as_numbers(tmp_path, extension):
    task = load(write(tmp_path / f"a{extension}", reviews(labels=(1.0, 2.5, 4.0))))
    assert (task.kind, task.labels) == ("regression", ())
    assert {type(e.label) for e in task.splits["train"]} == {float}
    assert {e.label for split in task.splits.values() for e in split} == {1.0, 2.5, 4.0}


@pytest.mark.parametrize("extension", FORMATS)
def test_whole_numbers_are_classes_in_the_order_of_numbers(tmp_path, extension):
    task = load(write(tmp_path / f"a{extension}", reviews(labels=(10, 9, 1))))
    assert (task.kind, task.labels) == ("classification", ("1", "9", "10"))


@pytest.mark.parametrize("extension", [".jsonl", ".parquet"])
def test_true_and_false_are_classes(tmp_path, extension):
    assert load(write(tmp_path / f"a{extension}", reviews(labels=(True, False)))).labels == ("false", "true")


def test_the_kind_can_be_said(tmp_path):
    path = write(tmp_path / "a.jsonl", reviews(labels=(1.0, 2.5)))
    assert load(path, kind="classification").labels == ("1.0", "2.5")
    assert load(write(tmp_path / "b.jsonl", reviews(labels=(1, 2))), kind="regression").kind == "regression"


def test_given_labels_keep_their_order(tmp_path):
    path = write(tmp_path / "a.csv", reviews())
    assert load(path, labels=["good", "unsure", "bad"]).labels == ("good", "unsure", "bad")


def test_a_single_file_is_split_80_10_10_label_by_label(tmp_path):
    task = load(write(tmp_path / "a.jsonl", reviews(200, ("a", "a", "a", "b"))))
    counts = {split: Counter(task.labels[e.label] for e in rows) for split, rows in task.splits.items()}
    assert counts == {
        "train": {"a": 120, "b": 40}, "validation": {"a": 15, "b": 5}, "test": {"a": 15, "b": 5},
    }  # fmt: skip


def test_a_row_of_a_single_file_is_in_one_split(tmp_path):
    task = load(write(tmp_path / "a.jsonl", reviews(97, (0, 1, 2, 3, 4, 5, 6))))
    fields = [example.fields for rows in task.splits.values() for example in rows]
    assert len(fields) == len(set(fields)) == 97


def test_every_run_seed_sees_the_same_rows_and_another_data_seed_others(tmp_path):
    path = write(tmp_path / "a.jsonl", reviews(200))
    assert load(path) == load(path)
    assert load(path).splits["test"] != load(path, data_seed=1).splits["test"]


def test_a_folder_keeps_its_splits(tmp_path):
    parts = {"train": reviews(6), "validation": reviews(4), "test": reviews(2)}
    for (split, rows), extension in zip(parts.items(), FORMATS, strict=False):
        write(tmp_path / "mine" / f"{split}{extension}", rows)
    task = load(tmp_path / "mine")
    assert task.name == "mine"
    assert {split: len(rows) for split, rows in task.splits.items()} == {"train": 6, "validation": 4, "test": 2}


def test_without_a_test_file_half_of_the_validation_rows_become_the_test_rows(tmp_path):
    write(tmp_path / "train.jsonl", reviews(6))
    write(tmp_path / "validation.jsonl", rows := reviews(9))
    splits = load(tmp_path).splits
    assert (len(splits["validation"]), len(splits["test"])) == (5, 4)
    found = {e.fields for e in splits["validation"] + splits["test"]}
    assert found == {(("title", row["title"]), ("body", row["body"])) for row in rows}


@pytest.mark.parametrize("extension", FORMATS)
def test_reading_a_file_asks_nothing_of_the_network(tmp_path, monkeypatch, extension):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    path = write(tmp_path / f"a{extension}", reviews())
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    load(path)


def test_reading_says_nothing(tmp_path, capfd):
    load(write(tmp_path / "a.jsonl", reviews()))
    (tmp_path / "b.jsonl").write_text("{")
    message(tmp_path / "b.jsonl")
    assert capfd.readouterr() == ("", "")


def test_a_changed_file_is_read_anew(tmp_path):
    path = write(tmp_path / "a.jsonl", reviews())
    load(path)
    write(path, reviews(labels=("fine", "poor")))
    assert load(path).labels == ("fine", "poor")


@pytest.mark.parametrize("extension", FORMATS)
def test_a_folder_may_have_brackets_and_stars_in_its_name(tmp_path, extension):
    assert load(write(tmp_path / "a[1]*" / f"b{extension}", reviews())).labels == ("bad", "good")


@pytest.mark.parametrize("extension", [".csv", ".tsv"])
def test_cells_are_read_as_they_are_written(tmp_path, extension):
    rows = [{"id": i, "title": word, "body": "", "stars": i % 2} for i, word in enumerate(["NA", "None", "007"] * 4)]
    rows[-1]["id"] = "last"
    splits = load(write(tmp_path / f"a{extension}", rows)).splits.values()
    assert {example.fields[0][1] for split in splits for example in split} == {"NA", "None", "007"}


# Mistakes: each message names the file, the row or key, and what to do.


def test_a_missing_path_is_named(tmp_path):
    assert message(tmp_path / "nowhere.csv") == (
        f"there is no file or folder {tmp_path}/nowhere.csv: check `path` of the task"
    )


def test_an_unknown_extension_is_refused_with_those_that_are_known(tmp_path):
    (tmp_path / "a.doc").touch()
    assert message(tmp_path / "a.doc").endswith(
        "a.doc is of no kind that can be read: known: .jsonl, .ndjson, .json, .csv, .tsv, .txt, .parquet, .arrow, "
        ".feather, .xlsx, and these with .gz"
    )


@pytest.mark.parametrize("extension", FORMATS)
def test_a_missing_column_is_refused_with_the_nearest(tmp_path, extension):
    path = write(tmp_path / f"a{extension}", reviews())
    assert message(path, label="star") == f"{path} has no column 'star': did you mean 'stars'?"
    assert "no column 'titel': did you mean 'title'?" in message(path, text=["titel"])


@pytest.mark.parametrize("column", ["title", "stars"])
@pytest.mark.parametrize("extension", [".jsonl", ".parquet"])
def test_a_null_is_refused_with_its_place(tmp_path, extension, column):
    rows = reviews()
    rows[6][column] = None
    path = write(tmp_path / f"a{extension}", rows)
    place = "line 7" if extension == ".jsonl" else "row 7"
    assert message(path) == f"{path}: {place} has no {column!r}: {CORRECT}"


@pytest.mark.parametrize("extension", FORMATS)
def test_an_empty_label_or_row_is_refused_with_its_place(tmp_path, extension):
    # In a csv or tsv, a header and six rows of two lines each stand before it.
    place = {".jsonl": "line 7", ".parquet": "row 7"}.get(extension, "line 14")
    rows = reviews()
    rows[6]["stars"] = ""
    path = write(tmp_path / f"a{extension}", rows)
    assert message(path) == f"{path}: {place} has an empty 'stars': {CORRECT}"
    rows = reviews()
    rows[6] |= {"title": "", "body": " "}
    assert f"{place} has an empty 'title, body'" in message(write(path, rows))


def test_a_list_is_no_text(tmp_path):
    rows = [row | {"body": ["a", "b"]} for row in reviews()]
    says = "40 of 40 rows have a list in 'body', where one text or number should be: lines 1, 2, 3, 4, 5, ..."
    assert says in message(write(tmp_path / "a.jsonl", rows))


@pytest.mark.parametrize(("extension", "content"), [(".jsonl", "\n"), (".csv", "title,body,stars\n"), (".csv", "")])
def test_a_file_without_rows_is_refused(tmp_path, extension, content):
    path = tmp_path / f"a{extension}"
    path.write_text(content)
    assert message(path) == f"{path} has no rows: every file needs at least one row of data"


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    import datasets

    path = tmp_path / "a.parquet"
    datasets.Dataset.from_list(reviews(1)).select([]).to_parquet(str(path))
    assert "has no rows" in message(path)


@pytest.mark.parametrize(("line", "fault"), [('{"title": "x"', "is not JSON"), ("[1]", "is not a JSON object")])
def test_a_broken_json_line_is_refused_with_its_number(tmp_path, line, fault):
    path = write(tmp_path / "a.jsonl", reviews(3))
    path.write_text(path.read_text() + line + "\n")
    assert message(path).startswith(f"{path}: line 4 {fault}")


@pytest.mark.parametrize("extension", FORMATS)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    path.write_bytes(b"\xff\xfe\xfa" * 100 + b"\n\xff\n")
    assert str(path) in message(path)


@pytest.mark.parametrize("first_rows", ["", "a,b,1\n"])
@pytest.mark.parametrize(("row", "count"), [("hello, world,body,1\n", "4 cells"), ("hello,1\n", "2 cells")])
def test_a_row_with_a_cell_too_many_or_too_few_is_refused_with_its_line(tmp_path, first_rows, row, count):
    path = tmp_path / "a.csv"
    path.write_text("title,body,stars\n" + first_rows + row * 12)
    line, all_rows = (3, 13) if first_rows else (2, 12)
    lines = ", ".join(map(str, range(line, line + 5)))
    many = f"12 of {all_rows} rows have more or fewer cells than the header, which has 3: lines {lines}, ...: "
    assert message(path).startswith(f"{path}: {many}correct them")
    path.write_text("title,body,stars\n" + first_rows + row)
    assert message(path).startswith(f"{path}: line {line} has {count}, the header 3: correct them")


def test_a_single_class_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", reviews(labels=("same",)))
    assert message(path) == f"{path}: all labels in 'stars' are 'same': two classes are the least"


def test_too_few_rows_to_split_are_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", reviews(9))
    assert message(path).startswith(
        f"{path} has too few rows to split 80/10/10 (9 rows of 2 classes): it takes 10 rows"
    )


def test_a_label_outside_the_given_set_is_refused_with_its_row(tmp_path):
    path = write(tmp_path / "a.jsonl", reviews())
    text = message(path, labels=["god", "bad"])
    assert "20 of 40 rows have a 'stars' that is not in `labels`: lines 1, 3, 5, 7, 9, ..." in text
    write(path, [*reviews(39, ("bad",)), *reviews(1)])
    assert "line 40: 'stars' is 'good', not in `labels` (did you mean 'god'?)" in message(path, labels=["god", "bad"])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_lacks_is_refused_with_its_row(tmp_path, split):
    for name in ("train", "validation", "test"):
        write(tmp_path / f"{name}.csv", reviews(8) + (reviews(1, ("odd",)) if name == split else []))
    path = tmp_path / f"{split}.csv"
    assert message(tmp_path).startswith(f"{path}: line 18: 'stars' is 'odd', not among the training labels")


@pytest.mark.parametrize("label", ["much", "nan"])
def test_a_label_that_is_no_number_is_refused_with_its_row(tmp_path, label):
    path = write(tmp_path / "a.csv", [*reviews(11, (1.5,)), *reviews(1, (label,))])
    assert f"{path}: line 24: 'stars' is '{label}', not a number" in message(path, kind="regression")


def test_a_folder_without_a_split_is_refused_with_the_names_to_give(tmp_path):
    write(tmp_path / "train.csv", reviews())
    assert message(tmp_path).startswith(
        f"{tmp_path} has no validation file: put one called validation or valid or val or dev or eval there, which ends"
    )


def test_two_files_of_one_split_are_refused(tmp_path):
    for name in ("train.csv", "train.jsonl", "validation.csv"):
        write(tmp_path / name, reviews())
    assert message(tmp_path) == f"{tmp_path} has train.jsonl and train.csv: keep one file for each split"


def test_one_validation_row_cannot_be_halved(tmp_path):
    write(tmp_path / "train.csv", reviews())
    write(tmp_path / "validation.csv", reviews(1))
    assert "validation.csv has too few rows to halve" in message(tmp_path)


@real_data
def test_commitment_bank_reads_as_it_is():
    task = load(DATA / "superglue-cb", text=["premise", "hypothesis"], label="label")
    assert (task.name, task.kind, task.labels) == ("superglue-cb", "classification", ("0", "1", "2"))
    assert {split: len(rows) for split, rows in task.splits.items()} == {"train": 250, "validation": 28, "test": 28}


@real_data
def test_sts_b_reads_as_regression():
    task = load(DATA / "stsb", text=["sentence1", "sentence2"], label="label")
    assert task.kind == "regression"
    assert [len(rows) for rows in task.splits.values()] == [5749, 1500, 1379]
    assert task.splits["train"][0].label == 5.0
