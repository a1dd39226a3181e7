"""What is no data file, or has no end, is refused in one line: nothing waits for it, and nothing holds it in memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from core.run.errors import DataError
from core.run.task_spec import FileTask
from core.tasks import cache, identity
from core.tasks.reading import read_content

# Each path in turn, and what came of it; 3 GB of memory are plenty for all of them.
LOADING = """
import resource, sys

from core.run.errors import DataError
from core.run.task_spec import FileTask
from core.tasks import identity, load_task
STEPS = [lambda task: load_task(task, 0), *[identity.of_source] * (sys.argv.pop(1) == "hash")]
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for path in sys.argv[1:]:
    for step in STEPS:
        try:
            print(step(FileTask(path=path, text=["text"], label="label")))
        except DataError as error:
            print(error.message)
"""


@pytest.fixture
def special(tmp_path, monkeypatch):
    """Paths by name, and what is said of each."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.csv")
    Path("loop.jsonl").symlink_to("loop.jsonl")
    Path("folder.csv").mkdir()
    Path("zero.tsv").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jsonl")
    with Path("huge.csv").open("wb") as file:
        file.truncate(1 << 42)
    return {
        "pipe.csv": "pipe.csv is a named pipe, not a regular file",
        "loop.jsonl": "loop.jsonl is a loop of symbolic links",
        "zero.tsv": "zero.tsv is a device, not a regular file",
        "socket.jsonl": "socket.jsonl is a socket, not a regular file",
        "huge.csv": "huge.csv has 4,398,046,511,104 bytes",
        "/dev/zero": "/dev/zero is a device, not a regular file",
        "no/such.csv": "there is no file or folder no/such.csv",
        "folder.csv": "folder.csv has no train file",
    }


def loaded(*paths: str, then: str = "") -> list[str]:
    """What reading, and then perhaps hashing, each path says, in a process that would otherwise hang or be killed."""
    done = subprocess.run(
        [sys.executable, "-c", LOADING, then, *paths], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_what_is_no_regular_file_is_refused_where_it_is_read_and_where_it_is_hashed(special):
    assert loaded(*special, then="hash") == [says for says in special.values() for _ in range(2)]


def test_a_split_of_a_folder_is_refused_in_the_same_way(special):
    for name in ("pipe.csv", "zero.tsv", "loop.jsonl"):
        folder = Path(name).stem
        Path(folder).mkdir()
        Path(folder, "validation.csv").write_text("text,label\na,b\n")
        Path(name).rename(f"{folder}/train{Path(name).suffix}")
    Path("loop/train.jsonl").unlink()
    Path("loop/train.jsonl").symlink_to("train.jsonl")
    assert loaded("pipe", "zero", "loop") == [
        "pipe/train.csv is a named pipe, not a regular file",
        "zero/train.tsv is a device, not a regular file",
        "loop/train.jsonl is a loop of symbolic links",
    ]


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path):
    for name in ("nul.jsonl", "nul.csv"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 32)
    (tmp_path / "long.csv").write_text("text,label\n" + "x" * (1 << 25))
    # A quote that is not closed makes one cell of all lines.
    (tmp_path / "open.csv").write_text('text,label\n"a\n' + f"{'x' * 1000}\n" * (1 << 15))
    found = [line.removeprefix(f"{tmp_path}/") for line in loaded(*map(str, sorted(tmp_path.iterdir())))]
    assert found == [
        "long.csv: line 2 has more than 16,777,216 characters",
        "nul.csv: line 1 has a NUL character",
        "nul.jsonl: line 1 has a NUL character",
        "open.csv: the row that begins in line 2 has a cell of more than 16,777,216 characters; is a quote not closed?",
    ]


def test_a_null_on_each_line_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("null\n" * 100)
    assert "".join(loaded(str(path))) == (
        f"{path}: 100 of 100 rows are not JSON objects that can be read: lines 1, 2, 3, 4, 5, ..."
    )


def test_a_small_parquet_file_that_stands_for_a_large_text_is_not_held_in_memory(tmp_path, monkeypatch):
    import pyarrow
    import pyarrow.parquet

    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 10_000), ["x" * 1_000_000])
    table = pyarrow.table({"text": text, "label": ["a"] * 10_000})
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path)
    assert path.stat().st_size < 1 << 21
    # With the types of arrow, rows share their text; without, it is there as often as there are rows.
    assert loaded(str(path)) == [f"{path}: all labels in 'label' are 'a'"]
    pyarrow.parquet.write_table(table, path, store_schema=False)
    monkeypatch.setattr("core.tasks.parquet.LARGEST_FILE", 1 << 28)
    with pytest.raises(DataError, match="holds more than 268,435,456 bytes of text"):
        read_content(path, ("text", "label"))


@pytest.mark.parametrize("damage", [lambda x: x[: len(x) // 2], lambda x: b"PAR1" + bytes(64) + b"PAR1", lambda x: b""])
def test_a_damaged_parquet_file_is_refused(tmp_path, damage):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": ["b"]}), path)
    path.write_bytes(damage(path.read_bytes()))
    assert "".join(loaded(str(path))).startswith(f"{path} cannot be read: ")


def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    assert "".join(loaded(str(path))) == f"{path} cannot be read: Permission denied"


def test_a_pipe_in_the_cache_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "digest")
    signal.alarm(30)  # a read would wait for ever
    try:
        assert cache.read(tmp_path / "digest") is None
    finally:
        signal.alarm(0)


def test_the_identity_of_a_loop_of_links_is_an_error_too(tmp_path):
    path = tmp_path / "a.csv"
    path.symlink_to(path)
    with pytest.raises(DataError, match="loop of symbolic links"):
        identity.of_source(FileTask(path=str(path), text=("text",), label="label"))
