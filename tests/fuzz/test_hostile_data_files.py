"""Data files of every kind: what a csv writer wrote is read back, and of anything else rows or one line are made."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
from hostile import hostile
from hypothesis import event, given
from hypothesis import strategies as st

from core.run.errors import DataError
from core.run.task_spec import FileTask
from core.tasks import Task, identity, load_task
from core.tasks.delimited import SEPARATORS
from core.tasks.reading import EXTENSIONS, read_content

# What ends a line, a cell or a quote somewhere, among letters that make words of it.
SIGNIFICANT = '"""\',;\t\n\r\\ \x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff'
CELLS = st.text(st.one_of(st.sampled_from(SIGNIFICANT + "ab"), st.characters(exclude_categories=["Cs"]))).map(
    lambda text: text.replace("\0", "")
)
# A writer does not quote a lone \r by itself where lines end with \n.
DIALECTS = [(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_NONNUMERIC, "\r\n")]


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(1, 4))
    return draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6))


def lines_are_rows(text: str, separator: str, width: int) -> bool:
    """Whether nothing but the quotes says that a cell goes on over several lines."""
    lines = [line.rstrip("\r\n") for line in io.StringIO(text, newline="")]
    return (
        width > 1 and '"' not in lines[0] and {line.count(separator) for line in lines if line.strip()} == {width - 1}
    )


@given(tables(), st.sampled_from(DIALECTS))
@hostile(400)
@pytest.mark.parametrize("extension", sorted(SEPARATORS))
def test_what_a_csv_writer_wrote_is_read_back(tmp_path, extension, table, dialect):
    names, (quoting, end) = [f"c{i}" for i in range(len(table[0]))], dialect
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=SEPARATORS[extension], quoting=quoting, lineterminator=end).writerows([names, *table])
    path = tmp_path / f"a{extension}"
    path.write_bytes(written.getvalue().encode())
    joined = any(mark in cell for row in table for cell in row for mark in "\r\n")
    if joined and lines_are_rows(written.getvalue(), SEPARATORS[extension], len(names)):
        event("as many rows as lines, by their separators")
        assert extension == ".tsv" or "each of these lines is a row by itself" in fault(path, names)
        return
    content = read_content(path, names)
    assert [list(row) for row in zip(*content.columns.values(), strict=True)] == table


def fault(path: Path, names: list[str]) -> str:
    with pytest.raises(DataError) as caught:
        read_content(path, names)
    return str(caught.value)


@given(tables())
@hostile(100)
@pytest.mark.parametrize("extension", [".jsonl", ".parquet"])
def test_what_a_json_or_parquet_writer_wrote_is_read_back(tmp_path, extension, table):
    names = [f"c{i}" for i in range(len(table[0]))]
    rows = [dict(zip(names, row, strict=True)) for row in table]
    path = tmp_path / f"a{extension}"
    if extension == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    columns = read_content(path, names).columns
    assert [list(row) for row in zip(*columns.values(), strict=True)] == table


def _valid(extension: str) -> bytes:
    """A file of twelve rows that makes a task."""
    rows = [{"text": f'naïve, "{i}"\n\tline', "label": "good" if i % 2 else "bad", "n": i / 2} for i in range(12)]
    if extension == ".parquet":
        sink = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
        return sink.getvalue()
    if extension in (".arrow", ".feather"):
        sink = io.BytesIO()
        pyarrow.feather.write_feather(pyarrow.Table.from_pylist(rows), sink)
        return sink.getvalue()
    if extension == ".json":
        return json.dumps(rows, ensure_ascii=False).encode()
    if extension in (".jsonl", ".ndjson"):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if extension == ".xlsx":
        return _workbook(rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=SEPARATORS[extension])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _workbook(rows: list[dict]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (list(rows[0]), *(list(row.values()) for row in rows)):
        book.active.append(row)
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


HAS_OPENPYXL = importlib.util.find_spec("openpyxl") is not None
KINDS = [extension for extension in EXTENSIONS if extension != ".xlsx" or HAS_OPENPYXL]
VALID = {extension: _valid(extension) for extension in KINDS}
TOKENS = (
    [b'"', b'""', b"\n", b"\r", b",", b"\t", b"{", b"[" * 3000, b"null\n", b"NaN", b"1e999", b"9" * 5000, b"\\ud800"],
    [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", "\u2028".encode(), b'"label"', b'"text": 1, ', b"true", b"PAR1"],
)
PIECES = st.one_of(st.binary(max_size=8), *map(st.sampled_from, TOKENS))
# Where, how many bytes go, and what comes in their place.
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), PIECES), min_size=1, max_size=3)


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for where, gone, piece in edits:
        start = int(where * len(data))
        data = data[:start] + piece + data[start + gone :]
    return data


def rows_or_one_line(path: Path, label: str) -> None:
    task = FileTask(path=str(path), text=("text",), label=label)
    identity.of_source(task)
    try:
        assert isinstance(load_task(task, 0), Task)
        event("rows")
        return
    except DataError as error:
        event("refused")
        says = str(error)
    assert says.count(str(path)) == 1
    assert len(says.splitlines()) == 1
    assert len(says) < 1000


@given(EDITS, st.just(1.0) | st.floats(0, 1), st.sampled_from(["label", "n"]))
@hostile(300)
@pytest.mark.parametrize("extension", KINDS)
def test_a_damaged_file_gives_rows_or_one_line(tmp_path, extension, edits, end, label):
    data = edited(VALID[extension], edits)
    path = tmp_path / f"a{extension}"
    path.write_bytes(data[: int(end * len(data))])
    rows_or_one_line(path, label)


@given(EDITS, st.just(1.0) | st.floats(0, 1))
@hostile(100)
@pytest.mark.parametrize("extension", [".csv", ".parquet", ".jsonl"])
def test_a_damaged_compressed_file_gives_rows_or_one_line(tmp_path, extension, edits, end):
    data = edited(gzip.compress(VALID[extension]), edits)
    path = tmp_path / f"a{extension}.gz"
    path.write_bytes(data[: int(end * len(data))])
    rows_or_one_line(path, "label")


@given(st.one_of(st.binary(), CELLS.map(str.encode), st.lists(PIECES).map(b"".join)))
@hostile(150)
@pytest.mark.parametrize("extension", KINDS)
def test_any_bytes_give_rows_or_one_line(tmp_path, extension, data):
    path = tmp_path / f"a{extension}"
    path.write_bytes(data)
    rows_or_one_line(path, "label")
    header = {".csv": b"text,label,n\n", ".tsv": b"text\tlabel\tn\n", ".txt": b"text\tlabel\tn\n"}.get(extension, b"")
    path.write_bytes(header + data)
    rows_or_one_line(path, "label")
