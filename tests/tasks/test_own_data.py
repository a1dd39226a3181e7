"""Files as people have them: other kinds, delimiters, encodings and names, and rows with something missing."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from core.run.errors import DataError
from core.run.task_spec import FileTask
from core.tasks import Task, load_task

CASES = Path(__file__).resolve().parents[1] / "data" / "own"
ROWS = [{"text": f"the text number {i}", "label": ("question", "remark")[i % 2]} for i in range(48)]


def load(path: Path, **keys) -> Task:
    return load_task(FileTask(path=str(path), text="text", label="label", **keys), 0)


def message(path: Path, **keys) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **keys)
    return str(caught.value).replace(f"{path}", path.name)


def texts(task: Task) -> set[str]:
    return {row.fields[0][1] for rows in task.splits.values() for row in rows}


def size(task: Task) -> int:
    return sum(map(len, task.splits.values()))


@pytest.mark.parametrize(
    "name",
    ["UPPER.CSV", "cp1252.csv", "list.json", "rows.jsonl.gz", "rows.ndjson", "semicolon.csv", "semicolon-in-text.csv"],
)
def test_every_row_of_a_file_is_read(name):
    task = load(CASES / name)
    assert size(task) == 48
    assert (task.kind, task.labels) == ("classification", ("question", "remark"))


def test_a_delimiter_may_stand_in_a_quoted_cell():
    task = load(CASES / "semicolon-in-text.csv")
    assert "where is the nearest pharmacy number 20; really" in texts(task)
    assert task.notes == ("semicolon-in-text.csv: cells are separated by ';'",)


def test_a_file_that_is_not_utf_8_is_read_as_what_it_looks_like_and_that_is_said():
    task = load(CASES / "cp1252.csv")
    assert "why is the lamp flickering number 0 café \N{EN DASH} naïve" in texts(task)
    assert task.notes == ("cp1252.csv: read as cp1252",)
    assert load(CASES / "cp1252.csv", encoding="cp1252").splits == task.splits
    assert "why is the lamp flickering number 0 cafŽ Ц naпve" not in texts(task)


def test_an_encoding_that_is_named_is_the_one_that_is_read():
    assert "why is the lamp flickering number 0 cafй \N{EN DASH} naпve" in texts(
        load(CASES / "cp1252.csv", encoding="cp1251")
    )
    assert "is not UTF-8" in message(CASES / "cp1252.csv", encoding="utf-8-sig")


def test_a_word_of_another_encoding_is_not_guessed_where_the_rest_is_utf_8(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nnaïve,x\n".encode() + "café,y\n".encode("cp1252"))
    assert message(path).startswith("a.csv: line 3 is not UTF-8: save the file as UTF-8, or name its encoding")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("extension", [".csv", ".txt", ".jsonl", ".json"])
def test_a_byte_order_mark_says_how_a_file_is_written(tmp_path, encoding, extension):
    path = tmp_path / f"a{extension}"
    if extension == ".csv":
        text = "text,label\n" + "".join(f"naïve {row['text']},{row['label']}\n" for row in ROWS)
    elif extension == ".txt":
        text = "text\tlabel\n" + "".join(f"naïve {row['text']}\t{row['label']}\n" for row in ROWS)
    else:
        rows = [{"text": f"naïve {row['text']}", "label": row["label"]} for row in ROWS]
        text = json.dumps(rows) if extension == ".json" else "\n".join(map(json.dumps, rows))
    path.write_text(text, encoding=encoding)
    assert texts(load(path)) == {f"naïve {row['text']}" for row in ROWS}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("extension", [".csv", ".tsv", ".txt"])
def test_whatever_separates_the_cells_is_found_out(tmp_path, delimiter, extension):
    path = tmp_path / f"a{extension}"
    path.write_text("".join(delimiter.join(cells) + "\n" for cells in [("text", "label"), *map(dict.values, ROWS)]))
    assert texts(load(path)) == {row["text"] for row in ROWS}


def test_a_delimiter_of_ones_own_can_be_given(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join("^".join(cells) + "\n" for cells in [("text", "label"), *map(dict.values, ROWS)]))
    assert size(load(path, delimiter="^")) == 48
    assert message(path).startswith("a.csv has no column 'text': known: text^label")


def test_quotes_are_text_where_that_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f'"{row["text"]},{row["label"]}\n' for row in ROWS))
    assert "quote" in message(path)
    assert texts(load(path, quoting="none")) == {f'"{row["text"]}' for row in ROWS}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet", "feather", "arrow", "arrow-stream", "xlsx"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_kind_of_file_gives_the_same_rows(tmp_path, kind, compressed):
    path = tmp_path / f"a.{kind.removesuffix('-stream')}"
    write(path, kind)
    if compressed:
        plain, path = path, path.with_name(f"{path.name}.gz")
        path.write_bytes(gzip.compress(plain.read_bytes()))
    task = load(path)
    assert (task.name, texts(task)) == ("a", {row["text"] for row in ROWS})
    write(reference := tmp_path / "reference.jsonl", "jsonl")
    assert task.splits == load(reference).splits


def write(path: Path, kind: str) -> None:
    import pyarrow
    import pyarrow.feather
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(ROWS)
    if kind == "csv":
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS))
    elif kind in ("jsonl", "json"):
        path.write_text("\n".join(map(json.dumps, ROWS)) if kind == "jsonl" else json.dumps({"v": 1, "data": ROWS}))
    elif kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    elif kind in ("feather", "arrow"):
        pyarrow.feather.write_feather(table, path)
    elif kind == "xlsx":
        openpyxl = pytest.importorskip("openpyxl", reason="openpyxl, which reads xlsx files, is not installed")
        book = openpyxl.Workbook()
        for cells in (("text", "label"), *map(tuple, map(dict.values, ROWS))):
            book.active.append(cells)
        book.save(path)
    else:
        with pyarrow.ipc.new_stream(str(path), table.schema) as stream:
            stream.write_table(table)


def test_an_xlsx_file_without_openpyxl_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    (path := tmp_path / "a.xlsx").write_bytes(b"")
    assert message(path) == "a.xlsx: xlsx files need the package openpyxl: pip install 's3tui[xlsx]'"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 1}', "a.json holds no list of objects"),
        ("[]", "a.json has no rows"),
        ('{"a": [{"text": "x"}], "b": [{"text": "y"}]}', "a.json holds several lists of objects ('a', 'b')"),
        ("[1, 2]", "2 of 2 rows are not JSON objects that can be read: rows 1, 2"),
        ('[{"text": "x"}', "a.json is not JSON (Expecting ',' delimiter, column 15)"),
        ('[{"text": "x", "text": "y"}]', "a.json has 'text' twice"),
    ],
)
def test_a_json_file_without_rows_is_refused(tmp_path, content, says):
    (path := tmp_path / "a.json").write_text(content)
    assert says in message(path)


def test_a_json_file_may_be_written_line_by_line(tmp_path):
    (path := tmp_path / "a.json").write_text("\n".join(map(json.dumps, ROWS)))
    assert size(load(path)) == 48


def test_a_small_file_that_stands_for_a_large_one_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("core.tasks.opening.LARGEST_FILE", 1 << 20)
    for name in ("a.csv.gz", "a.parquet.gz"):
        (path := tmp_path / name).write_bytes(gzip.compress(b"text,label\n" + b"x,y\n" * (1 << 19)))
        assert message(path).startswith(f"{name} has more than 1,048,576 bytes once it is unpacked")


def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path):
    data = gzip.compress(b"text,label\n" + b"".join(b"%d,y\n" % i for i in range(10_000)))
    (path := tmp_path / "a.csv.gz").write_bytes(data[: len(data) // 2])
    assert message(path).startswith("a.csv.gz is damaged: ")


def test_a_folder_may_call_its_validation_rows_dev():
    task = load(CASES / "folder")
    assert {split: len(rows) for split, rows in task.splits.items()} == {"train": 32, "validation": 8, "test": 10}


@pytest.mark.parametrize("name", ["dev.csv", "val.CSV", "valid.csv.gz", "validation.tsv", "eval.jsonl"])
def test_every_usual_name_of_the_validation_rows_is_known(tmp_path, name):
    for file in ("train.csv", name):
        text = "\n".join(map(json.dumps, ROWS)) if "jsonl" in file else "text,label\n"
        text += "" if "jsonl" in file else "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
        data = text.replace(",", "\t").encode() if "tsv" in file else text.encode()
        (tmp_path / file).write_bytes(gzip.compress(data) if file.endswith(".gz") else data)
    assert {split: len(rows) for split, rows in load(tmp_path).splits.items()} == {
        "train": 48, "validation": 24, "test": 24,
    }  # fmt: skip


def test_two_names_of_the_validation_rows_are_one_too_many(tmp_path):
    for name in ("train.csv", "dev.csv", "val.csv"):
        (tmp_path / name).write_text("text,label\n")
    assert "has val.csv and dev.csv: keep one file for each split" in message(tmp_path)


def test_all_bad_rows_are_counted_by_what_they_lack():
    assert message(CASES / "many-empty.csv") == (
        "many-empty.csv: 5 of 48 rows have an empty 'text': lines 2, 12, 22, 32, 42; "
        "3 of 48 rows have an empty 'label': lines 5, 21, 37: "
        'correct them or leave these rows out, or set on_bad_rows = "drop"'
    )


def test_bad_rows_are_left_out_and_counted_where_that_is_asked_for():
    task = load(CASES / "many-empty.csv", on_bad_rows="drop")
    assert size(task) == 40
    assert task.left_out == {"have an empty 'text'": 5, "have an empty 'label'": 3}


def test_rows_that_cannot_be_read_at_all_are_left_out_too(tmp_path):
    good = "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
    (path := tmp_path / "a.csv").write_text(f"text,label\none,two,three\n{good}alone\n")
    assert message(path).startswith(
        "a.csv: 2 of 50 rows have more or fewer cells than the header, which has 2: lines 2, 51"
    )
    task = load(path, on_bad_rows="drop")
    assert (size(task), sum(task.left_out.values())) == (48, 2)
    (path := tmp_path / "a.jsonl").write_text("\n".join([*map(json.dumps, ROWS), "{", '{"text": "x"}']))
    task = load(path, on_bad_rows="drop")
    assert (size(task), task.left_out) == (
        48, {"are not JSON objects that can be read": 1, "have no 'label'": 1},
    )  # fmt: skip


def test_labels_that_are_none_of_the_classes_are_left_out_too(tmp_path):
    rows = [*ROWS, {"text": "odd", "label": "neither"}]
    (path := tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = load(path, labels=["question", "remark"], on_bad_rows="drop")
    assert (size(task), task.left_out) == (48, {"have a 'label' that is not in `labels`": 1})


def test_a_quote_that_swallows_lines_is_never_a_row_to_be_left_out(tmp_path):
    lines = [f'"{row["text"]}' if i in (3, 9) else row["text"] for i, row in enumerate(ROWS)]
    good = "".join(f"{text},remark\n" for text in lines)
    (path := tmp_path / "a.csv").write_text(f"text,label\n{good}")
    assert "quote" in message(path, on_bad_rows="drop")


def test_spellings_of_one_label_can_be_made_one_class():
    assert len(load(CASES / "label-case.csv").labels) == 4
    task = load(CASES / "label-case.csv", fold_labels=True)
    assert (task.labels, size(task)) == (("question", "remark"), 48)
    given = load(CASES / "label-case.csv", fold_labels=True, labels=["Remark", "Question"])
    assert given.labels == ("Remark", "Question")


def test_where_one_class_has_nearly_all_rows_macro_f1_is_the_score():
    assert load(CASES / "imbalanced.csv").metrics == ("macro_f1", "accuracy")
    assert load(CASES / "imbalanced.csv", score="accuracy").metrics == ("accuracy", "macro_f1")
    assert load(CASES / "UPPER.CSV").metrics == ("accuracy", "macro_f1")
    assert load(CASES / "UPPER.CSV", score="macro_f1").metrics == ("macro_f1", "accuracy")


def test_balanced_weights_give_every_class_the_same_share_of_the_loss():
    task = load(CASES / "imbalanced.csv", class_weights="balanced")
    counts = Counter(row.label for row in task.splits["train"])
    shares = [task.class_weights[label] * count for label, count in counts.items()]
    assert shares == pytest.approx([len(task.splits["train"]) / 2] * 2)
    assert load(CASES / "imbalanced.csv").class_weights == ()
