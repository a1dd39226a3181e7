"""A disk that is full or not ours: nothing is destroyed, the reason is one line, and the run can go on later."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support import make_run
from workers import Worker, attempt, checkpoint_files, make_spec, outcome

from core.run.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from core.run.events import Checkpoint, Failed, Space, Started, read_events
from core.run.rundir import RunDir, read_json
from core.runtime.heartbeat import beating

NOBODY = 65534  # a user who owns nothing


def lines(run: RunDir) -> list[str]:
    """What the worker printed."""
    return run.log.read_text().splitlines()


def test_where_events_do_not_fit_the_run_fails_and_goes_on_when_there_is_room(tmp_path, root, uninterrupted):
    spec = make_spec(root)
    complete = uninterrupted(spec).events.stat().st_size
    run = make_run(tmp_path / "run", spec)
    run.events.write_bytes(b"\n" * 1_000_000)  # more than any other file of the run
    limit = 1_000_000 + complete * 2 // 3
    assert attempt(run, largest_file=limit) == EXIT_FAILED
    assert run.events.stat().st_size == limit
    failure, untold = lines(run)[-2:]  # the failure, and that it cannot be told
    assert failure.startswith("disk: ")
    assert untold.startswith("disk: ")
    assert "events.jsonl could not be written (File too large)" in failure
    assert read_json(run.summary)["status"] == "failed"
    assert "could not be written" in read_json(run.summary)["error"]
    assert attempt(run) == EXIT_OK
    assert [bool(e.resumed_phase) for e in read_events(run.events)[0] if isinstance(e, Started)] == [False, True]
    assert outcome(run) == outcome(uninterrupted(spec))


def test_where_checkpoints_do_not_fit_the_older_one_stays_and_the_run_goes_on(tmp_path, root, uninterrupted):
    """The first checkpoint of full fine-tuning has no moments of the optimiser yet, so it is much smaller."""
    spec = make_spec(root, method="full", every=6)
    delta = uninterrupted(spec).delta.stat().st_size
    run = make_run(tmp_path / "run", spec)
    assert attempt(run, largest_file=delta * 2) == EXIT_OK
    assert outcome(run) == outcome(uninterrupted(spec))
    assert list(checkpoint_files(run)) == [("retrain", 0)]
    assert [path.name for path in run.checkpoint.iterdir()] == ["retrain-00000000.safetensors"]
    assert [e.step for e in read_events(run.events)[0] if isinstance(e, Checkpoint)] == [0]
    told = [line for line in lines(run) if "could not be written, the run continues" in line]
    assert len(told) == 4
    assert "step 6 of retrain" in told[0]


def test_where_there_can_be_no_checkpoints_the_run_goes_on(tmp_path, root, reference):
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    run.checkpoint.write_text("a file")
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)
    assert run.checkpoint.read_text() == "a file"
    assert "could not be written, the run continues" in run.log.read_text()


def test_where_a_summary_cannot_be_written_the_run_fails(tmp_path, root, reference):
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    worker = Worker(run)
    assert worker.until(lambda w: any(isinstance(e, Space) for e in w.events))
    while not run.summary.is_dir():  # the worker may be replacing it
        run.summary.unlink(missing_ok=True)
        with suppress(FileExistsError):
            run.summary.mkdir()
    assert worker.end() == EXIT_FAILED
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert failed.kind == "disk"
    assert "summary.json could not be written" in failed.message
    assert "resumes from a checkpoint" in failed.hint
    assert "Traceback" not in run.log.read_text()
    run.summary.rmdir()
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


def test_where_a_result_cannot_be_written_nothing_is_trained_again(tmp_path, root, reference):
    spec = make_spec(root)
    run = make_run(tmp_path / "run", spec)
    run.delta.mkdir()
    assert attempt(run) == EXIT_FAILED
    assert read_events(run.events)[0][-1].kind == "disk"
    run.delta.rmdir()
    before = len(read_events(run.events)[0])
    assert attempt(run) == EXIT_OK
    assert not [e for e in read_events(run.events)[0][before:] if e.type == "step"]
    assert outcome(run) == reference(spec)


@pytest.mark.parametrize("name", ["events", "summary"])
def test_what_cannot_be_written_from_the_start_is_one_clear_line(tmp_path, root, name):
    run = make_run(tmp_path / "run", make_spec(root))
    path = getattr(run, name)
    path.mkdir()
    assert attempt(run) == EXIT_USAGE
    (line,) = lines(run)
    assert line.startswith(f"core: {path} could not be written (Is a directory): ")


@pytest.fixture
def others(root) -> Iterator[RunDir]:
    """A run in a folder that everybody can read and only its owner can write to."""
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", make_spec(root))
        for path in (Path(folder), run.path):
            path.chmod(0o755)
        yield run


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_folder_of_another_user_is_one_clear_line(others):
    assert attempt(others, user=NOBODY) == EXIT_USAGE
    (line,) = lines(others)
    assert line.startswith(f"core: {others.events} could not be written (Permission denied): ")
    assert "is the folder yours" in line


@pytest.mark.skipif(os.getuid() == 0, reason="root writes to any folder")
def test_a_read_only_folder_is_one_clear_line(others):
    others.log.touch()
    others.path.chmod(0o555)
    assert attempt(others) == EXIT_USAGE
    others.path.chmod(0o755)
    (line,) = lines(others)
    assert "(Permission denied)" in line


def test_a_worker_under_way_has_a_heartbeat(tmp_path, root):
    run = make_run(tmp_path / "run", make_spec(root, method="random"))
    worker = Worker(run)
    assert worker.until(lambda w: run.heartbeat.exists())
    assert worker.end() == EXIT_OK


def test_a_heart_that_cannot_beat_harms_nobody(tmp_path):
    with beating(tmp_path / "gone" / "heartbeat"):
        pass
    assert not (tmp_path / "gone").exists()
