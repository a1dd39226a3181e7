"""Run directories: created once, files replaced whole or not at all, damage named."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.run.errors import EXIT_USAGE, RunDirError
from core.run.rundir import RunDir, read_json, remove_leftovers, write_bytes, write_json

DEADLINE = 30.0  # seconds


def python(program: str, *arguments: object) -> None:
    """Run a program of its own process, so that it can change what belongs to a process."""
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True, timeout=DEADLINE)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_is_created_with_its_settings_and_nothing_else(tmp_path):
    run = RunDir(tmp_path / "suite" / "experiment" / "seed=1")
    assert not run.exists()
    run.create({"seed": 1})
    assert run.exists()
    assert read_json(run.spec) == {"seed": 1}
    assert names(run.path) == ["spec.json"]


def test_a_run_that_exists_is_never_overwritten(tmp_path):
    run = RunDir(tmp_path)
    run.create({"seed": 1})
    with pytest.raises(RunDirError, match="holds a run already") as caught:
        run.create({"seed": 2})
    assert str(tmp_path) in caught.value.message
    assert "--fresh" in caught.value.hint
    assert read_json(run.spec) == {"seed": 1}


def test_a_folder_without_settings_can_become_a_run(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    RunDir(tmp_path).create({})
    assert names(tmp_path) == ["notes.txt", "spec.json"]


def test_every_file_has_a_name_of_its_own_in_the_directory():
    run = RunDir(Path("run"))
    members = [name for name, value in vars(RunDir).items() if isinstance(value, property)]
    paths = {getattr(run, name) for name in members}
    assert len(paths) == len(members) == 19
    assert {path.parent for path in paths} == {Path("run")}


def test_a_file_is_replaced_and_nothing_stays_behind(tmp_path):
    write_json(tmp_path / "result.json", {"score": 0.5, "text": "ä雪"})
    write_json(tmp_path / "result.json", [1, None])
    assert read_json(tmp_path / "result.json") == [1, None]
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize("data", [{"score": float("nan")}, {"score": float("inf")}, {"x": object()}, {("a",): 1}])
def test_what_is_no_json_leaves_the_old_content(tmp_path, data):
    write_json(tmp_path / "result.json", {"score": 0.5})
    with pytest.raises((TypeError, ValueError)):
        write_json(tmp_path / "result.json", data)
    assert read_json(tmp_path / "result.json") == {"score": 0.5}
    assert names(tmp_path) == ["result.json"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from core.run.rundir import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), b"x" * 5000)
except OSError:
    sys.exit(0)
sys.exit("the write should have failed")
"""


def test_a_write_that_fails_half_way_leaves_the_old_content(tmp_path):
    write_bytes(tmp_path / "delta.safetensors", b"old")
    python(FULL_DISK, tmp_path / "delta.safetensors")
    assert (tmp_path / "delta.safetensors").read_bytes() == b"old"
    assert names(tmp_path) == ["delta.safetensors"]


def test_a_folder_that_is_gone_is_an_error_and_stays_gone(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_json(tmp_path / "gone" / "result.json", {})
    assert names(tmp_path) == []


UMASK = """
import os, sys
from pathlib import Path
from core.run.rundir import RunDir
os.umask(int(sys.argv[2], 8))
RunDir(Path(sys.argv[1])).create({})
"""


@pytest.mark.parametrize(("umask", "mode"), [("022", 0o644), ("027", 0o640), ("002", 0o664), ("077", 0o600)])
def test_permissions_are_those_that_the_umask_gives(tmp_path, umask, mode):
    python(UMASK, tmp_path / "run", umask)
    assert stat.S_IMODE((tmp_path / "run" / "spec.json").stat().st_mode) == mode


REPLACE = """
import sys
from pathlib import Path
from core.run.rundir import write_json
for n in range(200):
    write_json(Path(sys.argv[1]), {"n": n, "filler": [n] * 2000})
"""


def test_a_reader_sees_the_old_content_or_the_new_but_never_half(tmp_path):
    path, deadline = tmp_path / "summary.json", time.monotonic() + DEADLINE
    write_json(path, {"n": -1, "filler": [-1]})
    with subprocess.Popen([sys.executable, "-c", REPLACE, str(path)]) as writer:
        while writer.poll() is None:
            assert time.monotonic() < deadline
            data = read_json(path)
            assert set(data["filler"]) == {data["n"]}
    assert (writer.returncode, read_json(path)["n"], names(tmp_path)) == (0, 199, ["summary.json"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunDirError, match="is missing") as caught:
        read_json(tmp_path / "spec.json")
    assert str(tmp_path / "spec.json") in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("content", [b"", b"{", b'{"seed": 1', b"\0\0\0\0", b"\xff\xfe", b"{} {}"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(RunDirError, match="cannot be read") as caught:
        read_json(tmp_path / "result.json")
    assert str(tmp_path / "result.json") in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 100_000, "nested more than 64 deep"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
        ('{"parameters": Infinity}', "Infinity is no number of JSON"),
        ('{"score": NaN}', "NaN is no number of JSON"),
        ('{"parameters": 1e999}', "1e999 is too large a number"),
        ('{"parameters": %s}' % ("9" * 400), "99999999999999999999... is a number beyond 64 bits"),
        ('{"parameters": %s}' % ("9" * 5_000), "99999999999999999999... is a number beyond 64 bits"),
        (f'{{"parameters": {2**63}}}', "is a number beyond 64 bits"),
        ('"%s"' % ("x" * 2**24), "more than 16 MiB"),
    ],
    ids=lambda text: text[:20],
)
def test_a_file_beyond_the_limits_is_named_with_what_is_wrong(tmp_path, content, said):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(RunDirError, match=r"result\.json cannot be read") as caught:
        read_json(tmp_path / "result.json")
    assert said in caught.value.hint


def test_what_is_within_the_limits_is_read(tmp_path):
    path = tmp_path / "result.json"
    for text in (
        "[" * 64 + "]" * 64,
        f"[{2**63 - 1}, {-(2**63)}, 1e300]",
        '{"a":' * 64 + "1" + "}" * 64,
        json.dumps([{}] * 1000),
    ):
        path.write_text(text)
        assert read_json(path) == json.loads(text)
    path.write_text("\ufeff[1]", encoding="utf-8")
    assert read_json(path) == [1]


def test_a_pipe_and_an_endless_device_in_the_place_of_a_file_are_named_at_once(tmp_path):
    os.mkfifo(tmp_path / "result.json")
    (tmp_path / "spec.json").symlink_to("/dev/zero")
    (tmp_path / "exit.json").symlink_to("exit.json")
    for name in ("result.json", "spec.json", "exit.json"):
        with pytest.raises(RunDirError, match=f"{name} cannot be read"):
            read_json(tmp_path / name)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "result.json").mkdir()
    with pytest.raises(RunDirError, match=r"result\.json cannot be read"):
        read_json(tmp_path / "result.json")


def test_files_are_json_that_every_tool_reads(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1.5, None, True]})
    text = (tmp_path / "a.json").read_text(encoding="ascii")
    assert text.endswith("\n")
    assert json.loads(text) == {"b": [1.5, None, True]}


def test_what_a_kill_left_behind_can_be_swept_away(tmp_path):
    for name in (".delta.safetensors.4242", ".result.json.7", ".exit.json.7", "delta.safetensors"):
        (tmp_path / name).write_text("")
    run = RunDir(tmp_path)
    remove_leftovers(run.delta, run.result, run.checkpoint / "search-1.safetensors")
    assert names(tmp_path) == [".exit.json.7", "delta.safetensors"]
