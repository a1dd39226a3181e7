"""Nothing of a data file is lost in silence: rows and cells are counted against its lines."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from core.run.errors import DataError
from core.tasks.reading import read_content

CASES = Path(__file__).resolve().parents[1] / "data"


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def texts(path: Path) -> list[str]:
    return list(read_content(path, ("text", "label")).columns["text"])


def message(path: Path, columns: tuple[str, ...] = ("text", "label")) -> str:
    with pytest.raises(DataError) as caught:
        read_content(path, columns)
    assert caught.value.hint
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)
    return caught.value.message.removeprefix(f"{path}: ")


def test_a_stray_quote_in_a_tsv_is_text_and_every_row_stays():
    content = read_content(CASES / "stray-quote.tsv", ("text", "label"))
    assert content.numbers == list(range(2, 50))
    assert content.columns["text"][:2] == [
        '"why is the lamp flickering number 0',
        "the room smelled of paint number 1",
    ]
    assert content.columns["label"].count("question") == content.columns["label"].count("remark") == 24


def test_a_tsv_of_which_quotes_open_on_one_line_and_close_on_another_keeps_its_rows(tmp_path):
    path = written(tmp_path / "a.tsv", 'text\tlabel\n"I came.\tpos\nI saw.\tneg\nI won."\tpos\n')
    assert texts(path) == ['"I came.', "I saw.", 'I won."']


def test_a_tsv_that_is_quoted_as_a_whole_is_read_so(tmp_path):
    path = written(tmp_path / "a.tsv", 'text\tlabel\n"two\nlines, a\ttab and ""quotes"""\tpos\nplain\tneg\n')
    assert texts(path) == ['two\nlines, a\ttab and "quotes"', "plain"]
    assert read_content(path, ("text", "label")).numbers == [2, 4]


def test_a_tsv_that_can_be_read_in_no_way_is_refused_with_both_faults(tmp_path):
    path = written(tmp_path / "a.tsv", 'text\tlabel\n"a\tpos\nb\nc\tneg\n')
    assert message(path) == (
        "the row that begins in line 2 has a quote that is never closed; "
        "and with quotes as text, line 3 has 1 cell, the header 2"
    )


def test_two_columns_of_one_name_are_refused():
    assert message(CASES / "double-header.csv") == "columns 1 and 2 are both named 'text'"


def test_columns_without_a_name_may_stand_beside_those_that_are_read(tmp_path):
    path = written(tmp_path / "a.csv", ",text,label,\n0,good,pos,\n1,bad,neg,\n")
    assert texts(path) == ["good", "bad"]
    assert message(path, ("", "label")) == "columns 1 and 4 are both named ''"
    assert read_content(written(tmp_path / "b.csv", ",label\ngood,pos\n"), ("", "label")).columns[""] == ["good"]


def test_a_first_cell_that_has_no_name_is_not_dropped(tmp_path):
    path = written(tmp_path / "a.csv", "text,label\n0,x0 film,pos\n1,x1 film,neg\n")
    assert message(path) == "2 of 2 rows have more or fewer cells than the header, which has 2: lines 2, 3"
    assert message(written(tmp_path / "b.csv", "text,label\n0,x0 film,pos\n")) == "line 2 has 3 cells, the header 2"


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ('a,pos\n"b,neg\nc,pos\n', "the row that begins in line 3 has a quote that is never closed"),
        ('a,pos\n"b,neg\n"c, d",pos\n', "the row that begins in line 3 has a quote inside a quoted cell, in line 4"),
        ('"so" he said,pos\n', "the row that begins in line 2 has a quote inside a quoted cell, in line 2"),
        ('"he said \\"so\\"",pos\n', "the row that begins in line 2 has a quote inside a quoted cell, in line 2"),
        ('a,pos\n"b,neg\nc,pos"\n', "quotes make one row of lines 3 to 4, which has 1 cell, the header 2"),
        ('a,pos\n"b,neg\nc",pos\n', "quotes make one row of lines 3 to 4, and each of these lines is a row by itself"),
    ],
    ids=["never-closed", "met-by-another", "in-front-of-text", "escaped-otherwise", "around-two", "across-two"],
)
def test_a_quote_that_takes_rows_of_a_csv_is_found_out(tmp_path, rows, fault):
    assert message(written(tmp_path / "a.csv", "text,label\n" + rows)) == fault


def test_a_quote_within_an_unquoted_cell_of_a_csv_is_text(tmp_path):
    path = written(tmp_path / "a.csv", 'text,label\na 5" disk,pos\nhe said "so",neg\n')
    assert texts(path) == ['a 5" disk', 'he said "so"']


def test_a_csv_may_have_quoted_cells_of_many_lines(tmp_path):
    cells = ["one\ntwo, three\n\nfour", "Good, really\nI liked it", 'a "quote"\r\nand\rmore']
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([cell, "x"] for cell in cells)])
    assert texts(path) == cells
    assert read_content(path, ("text", "label")).numbers == [2, 6, 8]


def test_only_line_ends_end_a_row(tmp_path):
    odd = [f"one{c}two" for c in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"]
    assert texts(written(tmp_path / "a.csv", "text,label\r\n" + "".join(f"{x},y\r\n" for x in odd))) == odd
    lines = [json.dumps({"text": x, "label": "y"}, ensure_ascii=False) for x in odd]
    assert texts(written(tmp_path / "a.jsonl", "\n".join(lines))) == odd


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path):
    content = read_content(written(tmp_path / "a.csv", "\ntext,label\n\n  \na,b\n\n"), ("text", "label"))
    assert (content.columns["text"], content.numbers) == (["a"], [5])


def test_a_text_may_be_longer_than_the_csv_module_takes_by_itself(tmp_path):
    usual = csv.field_size_limit()
    assert texts(written(tmp_path / "a.csv", f"text,label\n{'x' * 300_000},pos\n")) == ["x" * 300_000]
    assert csv.field_size_limit() == usual


def test_texts_of_a_jsonl_file_stay_as_they_are(tmp_path):
    rows = [{"text": "2020-01-01", "label": 1}, {"text": 5, "label": "one"}, {"text": "", "label": None}]
    path = written(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert read_content(path, ("text", "label")).columns == {"text": ["2020-01-01", 5, ""], "label": [1, "one", None]}


def test_whole_numbers_among_others_are_numbers_too(tmp_path):
    path = written(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": 2.5}\n')
    (labels,) = [read_content(path, ("label",)).columns["label"]]
    assert labels == [1.0, 2.5]
    assert {type(label) for label in labels} == {float}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("null", "is not a JSON object"),
        ('"a"', "is not a JSON object"),
        ("[" * 100_000, "has too many brackets inside each other"),
        ('{"a":' * 100_000, "has too many brackets inside each other"),
        ('{"text": "a", "label": ' + "9" * 5_000 + "}", "has a number of too many digits"),
        ('{"text": "a", "text": "b", "label": 1}', "has 'text' twice"),
        ('{"text": "\\ud83d", "label": 1}', "has half of a character (\\ud800 to \\udfff stand in pairs)"),
        ('{"text": "\0", "label": 1}', "has a NUL character"),
        ("NaN", "is not a JSON object"),
    ],
    ids=["null", "text", "arrays", "objects", "digits", "twice", "surrogate", "nul", "nan"],
)
def test_a_line_that_is_no_row_is_refused_with_its_number(tmp_path, line, fault):
    good = '{"text": "\\ud83d\\ude00", "label": 1}\n'
    assert message(written(tmp_path / "a.jsonl", good + line + "\n")) == f"line 2 {fault}"


@pytest.mark.parametrize("extension", [".csv", ".tsv", ".jsonl"])
def test_a_file_of_which_some_lines_are_in_another_encoding_is_refused_with_the_line(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    good = {".jsonl": '{"text": "é"}\n', ".csv": "text,label\né,é\n", ".tsv": "text\tlabel\né\té\n"}[extension].encode()
    lines = good.count(b"\n")
    path.write_bytes(good + "é".encode("cp1252"))
    assert message(path) == f"line {lines + 1} is not UTF-8"
    path.write_bytes(good.decode().encode("utf-16-le"))  # without a byte order mark
    assert message(path) == "line 1 has a NUL character"


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    assert texts(written(tmp_path / "a.csv", "\ufefftext,label\na,b\n")) == ["a"]
    assert texts(written(tmp_path / "a.jsonl", '\ufeff{"text": "a", "label": 1}\n')) == ["a"]


def test_two_columns_of_one_name_in_a_parquet_file_are_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table([["a"], ["b"], ["c"]], names=["text", "label", "text"])
    pyarrow.parquet.write_table(table, path := tmp_path / "a.parquet")
    assert message(path) == "columns 1 and 3 are both named 'text'"
