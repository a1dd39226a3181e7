import json

import pytest
from stand_in import result

from core.run.events import EventWriter, Failed, Phase
from core.run.rundir import RunDir, write_json
from s3tui.runs.gather import last_event
from s3tui.runs.status import Broken, Damaged, Done, Paused
from s3tui.runs.workspace import find_runs

SPEC = {"task": {"name": "icd10-chapter"}, "model": "m", "method": "s3", "seed": 0}


@pytest.fixture
def run(tmp_path):
    def create(name):
        directory = RunDir(tmp_path / name)
        directory.create(SPEC)
        return directory

    return create


def status(tmp_path):
    (found,) = find_runs(tmp_path)
    return found.status


def test_runs_are_named_by_their_path_and_sorted(run, tmp_path):
    for name in ("first/b/seed=1", "first/a", "first/b/seed=0"):
        run(name)
    assert [found.name for found in find_runs(tmp_path)] == ["first/a", "first/b/seed=0", "first/b/seed=1"]


def test_hidden_folders_and_checkpoints_hold_no_runs(run, tmp_path):
    run("first/.deleted-a")
    run("first/a")
    run("first/a/checkpoint/x")
    assert [found.name for found in find_runs(tmp_path)] == ["first/a"]


def test_links_are_not_followed_wherever_they_lead(run, tmp_path):
    run("elsewhere/a")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/first").symlink_to(tmp_path / "elsewhere")
    assert find_runs(tmp_path / "runs") == []


def test_a_finished_run_has_its_result(run, tmp_path):
    write_json(run("a").result, result(SPEC, 0.5))
    assert isinstance(status(tmp_path), Done)
    assert status(tmp_path).result.score == 0.5


def test_a_failed_run_tells_why(run, tmp_path):
    writer = EventWriter(run("a").events)
    writer.write(Phase("search", 10))
    writer.write(Failed("data", "no file", "look"))
    assert status(tmp_path) == Broken("data", "no file", "look")


def test_a_run_that_was_started_again_after_its_failure_is_unfinished(run, tmp_path):
    writer = EventWriter(run("a").events)
    writer.write(Failed("data", "no file", "look"))
    writer.write(Phase("search", 10))
    assert status(tmp_path) == Paused("not in the queue")


NO_OBJECT = ["", "{", "[]", "null", "\xff"]


@pytest.mark.parametrize(
    ("name", "content"),
    [(file, text) for file in ("spec.json", "summary.json", "queue.json", "process.json") for text in NO_OBJECT]
    + [("result.json", text) for text in (*NO_OBJECT, "{}", '{"score": "high"}')],
)
def test_a_damaged_file_is_told(run, tmp_path, name, content):
    (run("a").path / name).write_bytes(content.encode("latin-1"))
    assert isinstance(status(tmp_path), Damaged)
    assert name in status(tmp_path).problem


def test_the_last_event_is_found_behind_a_torn_line_and_in_a_long_file(tmp_path):
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.write(Phase("x" * 100_000, 1))
    writer.write(Phase("retrain", 7))
    with path.open("a") as file:
        file.write("no json\n" + json.dumps({"type": "failed"})[:-3])
    event = last_event(path)
    assert (event.phase, event.total) == ("retrain", 7)
