"""Checkpoints: whole or skipped, the last two kept, and nothing read that is not of this run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import make_run
from workers import attempt, checkpoint_files, has_reached, kill_at, make_spec, outcome

from core.run.errors import EXIT_OK
from core.run.events import Started, read_events
from core.run.rundir import RunDir
from core.runtime.checkpoint import Checkpoints, Snapshot

SPEC = "0123456789ab"


def snapshot(step: int, phase: str = "search") -> Snapshot:
    place = torch.Generator().manual_seed(step)
    tensors = {
        "weights": torch.randn(57, generator=place),
        "nothing": torch.zeros(0),
        "step.0": torch.tensor(float(step)),
        "table": torch.randn(3, 4, generator=place).double(),
    }
    return Snapshot(phase, step, tensors, {"score": None, "p": [0.1, 1 / 3], "é": {"b": 1, "a": 2}}, {"search": 1.5})


def same(one: Snapshot | None, other: Snapshot) -> bool:
    return (
        one is not None
        and vars(one) | {"tensors": 0} == vars(other) | {"tensors": 0}
        and list(one.facts["é"]) == list(other.facts["é"])
        and one.tensors.keys() == other.tensors.keys()
        and all(torch.equal(t, other.tensors[n]) and t.dtype == other.tensors[n].dtype for n, t in one.tensors.items())
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoint", SPEC)


def test_what_is_saved_comes_back_to_the_last_bit(checkpoints):
    assert checkpoints.latest() is None
    checkpoints.save(snapshot(3))
    assert same(checkpoints.latest(), snapshot(3))


def test_the_last_two_are_kept_in_the_order_of_a_run(tmp_path, checkpoints):
    for phase, step in (("search", 9), ("search", 10), ("retrain", 0), ("retrain", 100), ("retrain", 9_999)):
        checkpoints.save(snapshot(step, phase))
        assert same(checkpoints.latest(), snapshot(step, phase))
    assert names(tmp_path / "checkpoint") == ["retrain-00000100.safetensors", "retrain-00009999.safetensors"]


def test_an_earlier_one_makes_the_later_ones_void(tmp_path, checkpoints):
    """As when both were damaged, and the run began again."""
    for step in (50, 60, 3):
        checkpoints.save(snapshot(step))
    assert names(tmp_path / "checkpoint") == ["search-00000003.safetensors"]


def test_what_a_kill_left_half_written_is_swept_away(tmp_path, checkpoints):
    checkpoints.save(snapshot(1))
    (tmp_path / "checkpoint" / ".search-00000002.safetensors.4242").write_bytes(b"half")
    assert same(checkpoints.latest(), snapshot(1))
    checkpoints.save(snapshot(2))
    assert names(tmp_path / "checkpoint") == ["search-00000001.safetensors", "search-00000002.safetensors"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "torn": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "zero-filled": lambda data: b"\0" * len(data),
    "zero-filled at the end": lambda data: data[:-300] + b"\0" * 300,
    "longer than it should be": lambda data: data + b"\0" * 512,
    "a pickle": lambda data: b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94",
    "of other numbers": lambda data: data.replace(b'step\\": 2', b'step\\": 3'),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_one_is_passed_over_and_told(tmp_path, checkpoints, capsys, kind):
    checkpoints.save(snapshot(1))
    checkpoints.save(snapshot(2))
    first, second = sorted((tmp_path / "checkpoint").iterdir())
    whole = second.read_bytes()
    second.write_bytes(DAMAGE[kind](whole))
    assert second.read_bytes() != whole
    assert same(checkpoints.latest(), snapshot(1))
    assert f"{second} is skipped" in capsys.readouterr().err
    first.write_bytes(DAMAGE["torn"](first.read_bytes()))
    assert checkpoints.latest() is None
    assert "from the beginning" in capsys.readouterr().err


@given(st.data())
def test_no_changed_byte_is_taken_for_a_checkpoint(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flipped")
    Checkpoints(folder, SPEC).save(snapshot(2))
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = Checkpoints(folder, SPEC).latest()
    assert found is None or same(found, snapshot(2))  # a blank may have become another


def test_one_of_other_settings_is_passed_over(tmp_path, checkpoints, capsys):
    checkpoints.save(snapshot(2))
    assert Checkpoints(tmp_path / "checkpoint", "ba9876543210").latest() is None
    assert "of other settings" in capsys.readouterr().err


def test_what_is_no_checkpoint_is_left_alone(tmp_path, checkpoints):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "mine.safetensors").write_bytes(b"mine")
    (folder / "search-1.txt").write_bytes(b"mine")
    assert checkpoints.latest() is None
    for step in (1, 2, 3):
        checkpoints.save(snapshot(step))
    assert {"mine.safetensors", "search-1.txt"} < set(names(folder))


def resumed(run: RunDir) -> tuple[str, int]:
    """Where the last attempt went on."""
    last = [e for e in read_events(run.events)[0] if isinstance(e, Started)][-1]
    return last.resumed_phase, last.resumed_step


@pytest.mark.parametrize("kinds", [["torn"], ["torn", "zero-filled at the end"]])
def test_a_run_with_damaged_checkpoints_ends_bit_for_bit_the_same(tmp_path, root, reference, kinds):
    spec = make_spec(root, every=4)
    run = make_run(tmp_path / "run", spec)
    kill_at(run, [lambda worker: has_reached(worker, "search", 13)])
    before, newest = list(checkpoint_files(run))[-2:]
    for place, kind in zip((newest, before), kinds, strict=False):
        path = checkpoint_files(run)[place]
        path.write_bytes(DAMAGE[kind](path.read_bytes()))
    assert attempt(run) == EXIT_OK
    assert resumed(run) == (before if len(kinds) == 1 else ("", 0))
    assert outcome(run) == reference(spec)
    assert run.log.read_text().count("is skipped") == len(kinds)


def test_a_run_ignores_the_checkpoints_of_another(tmp_path, root, uninterrupted, reference):
    spec = make_spec(root)
    other = make_run(tmp_path / "other", make_spec(root, every=3))
    kill_at(other, [lambda worker: has_reached(worker, "search", 12)])
    run = make_run(tmp_path / "run", spec)
    shutil.copytree(other.checkpoint, run.checkpoint)
    assert attempt(run) == EXIT_OK
    assert resumed(run) == ("", 0)
    assert outcome(run) == reference(spec)
