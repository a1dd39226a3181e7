"""Runs that differ in retraining alone cost one search, whoever dies when."""

import shutil
import signal
from dataclasses import replace

import pytest
from processes import drive, drive_through_kills, kill, wait_until, worker_pid
from stand_in import SEARCHED, UNTIL_TOLD

from core.run.events import Finished, Phase, SearchTaken, Started, read_events
from core.run.rundir import write_bytes, write_json
from core.run.searched import source_of, write_searched
from s3tui.runs.records.job import Job
from s3tui.runs.records.launch import Launch
from s3tui.runs.records.queue import Queue
from s3tui.runs.status import Dead, Queued, Running
from s3tui.runs.workspace import FoundRun, Workspace, find_runs
from s3tui.scheduling.shared_searches import SharedSearches

RATES = 'matrix = { "retrain.learning_rate" = [1e-3, 2e-3, 3e-3] }\n'
TWO = "[experiment.a]\n[experiment.b]\nretrain = { max_steps = 5 }\n"
WAITS = "waiting for the search of first/a"


def searches(workspace):
    """The runs that have searched themselves, and for each other one the run whose search it has taken."""
    told = {run.name: read_events(run.directory.events)[0] for run in find_runs(workspace.path)}
    own = [name for name, events in told.items() if any(isinstance(e, Phase) and e.phase == "search" for e in events)]
    taken = {name: e.source for name, events in told.items() for e in events if isinstance(e, SearchTaken)}
    return own, taken


def test_a_matrix_over_retraining_rates_costs_one_search_and_says_so(run, workspace):
    code, _, err = run(f"[experiment.a]\n{RATES}")
    assert code == 0, err
    first, *others = (f"first/a/retrain.learning_rate=0.00{n}" for n in (1, 2, 3))
    assert searches(workspace) == ([first], dict.fromkeys(others, first))
    for other in others:
        short = other.removeprefix("first/")
        assert f"{short}: waiting for the search of {first}\n" in err
        assert f"{short}: takes the search of {first}: 20 steps, 30 s\n" in err
    # A later run of the same search takes it too, even if the first is gone, and other searches do not.
    shutil.rmtree(workspace.run(first).path)
    assert run("[experiment.late]\nretrain = { max_steps = 9 }\n[experiment.other]\nseed = 1\n")[0] == 0
    own, taken = searches(workspace)
    assert own == ["first/other"]
    assert taken["first/late"] in others


def test_the_structure_is_taken_while_the_first_run_still_retrains(suite, told, workspace, states):
    process = drive(suite(f"[experiment.a]\nretrain = {{ max_steps = {UNTIL_TOLD} }}\n[experiment.b]\n"), "--detach")
    assert process.wait() == 0
    wait_until(lambda: states().get("b") == "finished")
    assert states()["a"] == "running"
    shown = told("show", "b", "--in", "runs")
    assert shown["search_from"] == "first/a"
    (workspace.path / "first/a/go").touch()
    wait_until(lambda: states()["a"] == "finished")


@pytest.mark.parametrize("end", ["killed", "cancelled"])
def test_a_run_waits_without_a_device_and_searches_itself_if_the_first_comes_to_nothing(
    suite, told, run, workspace, states, end
):
    both = TWO.replace("\n", '\nmodel = "until-told"\n', 2)
    assert drive(suite(both), "--detach").wait() == 0
    first = worker_pid(workspace.run("first/a").path)
    wait_until(lambda: {"name": "first/b", "reason": WAITS} in told("status", "--in", "runs")["waiting"])
    assert not workspace.run("first/b").process.exists()
    if end == "killed":
        kill(first, signal.SIGKILL)
    else:
        told("cancel", "first/a", "--in", "runs")
    worker_pid(workspace.run("first/b").path)
    (workspace.path / "first/b/go").touch()
    wait_until(lambda: states()["b"] == "finished")
    assert searches(workspace) == (["first/b"], {})


def test_fresh_runs_search_anew_and_share_that_search_among_themselves(run, workspace):
    assert run(TWO)[0] == 0
    assert searches(workspace)[1] == {"first/b": "first/a"}
    assert run(TWO.replace("5", "6"), "--fresh", "b")[0] == 0
    assert searches(workspace) == (["first/a", "first/b"], {})
    both = TWO.replace("5", "8").replace("[experiment.a]", "[experiment.a]\nretrain = { max_steps = 4 }")
    assert run(both, "--fresh")[0] == 0
    assert searches(workspace) == (["first/a"], {"first/b": "first/a"})


def test_a_dispatcher_killed_at_any_moment_neither_repeats_nor_loses_a_search(suite, workspace, states):
    text = '[experiment.a]\nmatrix = { seed = [0, 1], "retrain.learning_rate" = [1e-3, 2e-3, 3e-3] }\n'
    drive_through_kills(suite(text), 6, 3, "0.01")
    assert set(states().values()) == {"finished"}
    own, taken = searches(workspace)
    assert (len(own), len(taken)) == (2, 4)
    for found in find_runs(workspace.path):
        spans = [e for e in read_events(found.directory.events)[0] if isinstance(e, (Started, Finished))]
        assert [type(event) for event in spans] == [Started, Finished]


SPEC = {"method": "s3", "seed": 0, "device": "auto", "task": {"name": "t"}, "retrain": {"max_steps": 1}}
WAITING, RUNS = Queued(0.0), Running(None)


@pytest.fixture
def board(tmp_path):
    """Make a run by its files, and settle who searches."""
    workspace, runs = Workspace(tmp_path), {}
    workspace.make()

    def make(name, status=WAITING, found=False, checkpoint="", **changes):
        directory = workspace.run(name)
        directory.checkpoint.mkdir(parents=True)
        queue = changes.pop("queue", Queue(wanted="queued"))
        write_json(directory.queue, queue.to_json())
        if found:
            write_searched(directory, SEARCHED, b"")
        if checkpoint:
            (directory.checkpoint / checkpoint).touch()
        job = changes.pop("job", None)
        runs[name] = FoundRun(name, directory, queue, status, SPEC | changes, job=job)

    def settle(impossible=()):
        ready = [run for run in runs.values() if run.status is WAITING and run.job is None]
        return SharedSearches(workspace).settle(ready, runs, impossible)

    def taken(name):
        searched = source_of(workspace.run(name))
        return searched.taken_from if searched else None

    make.settle, make.taken, make.workspace = settle, taken, workspace
    return make


def test_of_runs_that_wait_the_first_searches_and_the_others_wait_for_it(board):
    for name in ("x/a", "x/b", "x/c"):
        board(name, retrain={"max_steps": len(name)})
    board("x/other", seed=1)
    board("x/drawn", method="random")
    assert board.settle() == dict.fromkeys(("x/b", "x/c"), "waiting for the search of x/a")
    assert board.settle(impossible={"x/a"}) == {"x/c": "waiting for the search of x/b"}


@pytest.mark.parametrize("status", [RUNS, Dead("", "crash"), WAITING])
def test_a_search_that_is_over_is_taken_whatever_became_of_its_run(board, status):
    board("x/a", status, found=True)
    board("x/b")
    assert board.settle() == {}
    assert board.taken("x/b") == "x/a"


def test_a_run_that_has_begun_to_search_goes_on_by_itself(board):
    board("x/a", RUNS)
    board("x/b", checkpoint="search-00000005.safetensors")
    board("x/c", Dead("", "crash"), found=True, seed=1)
    board("x/d", checkpoint="search-00000005.safetensors", seed=1)
    assert board.settle() == {}
    assert board.taken("x/d") is None


def test_a_run_of_a_version_that_kept_no_search_is_not_waited_for(board):
    board("x/a", RUNS, checkpoint="retrain-00000005.safetensors")
    board("x/b")
    assert board.settle() == {}


def test_what_only_waits_elsewhere_is_not_waited_for(board):
    far = Queue(wanted="queued", launch=Launch("folder"))
    board("x/a", queue=far, job=Job("folder", "batch", 0, "7"))
    board("x/b", queue=far)
    board("x/here")
    assert board.settle() == {"x/b": "waiting for the search of x/a"}


def test_a_damaged_search_is_not_taken(board):
    board("x/a", Dead("", "crash"), found=True)
    write_bytes(board.workspace.run("x/a").search, b"{")
    board("x/b")
    assert board.settle() == {}
    assert board.taken("x/b") is None


def test_a_run_that_was_replaced_meanwhile_is_given_nothing(board):
    board("x/a", Dead("", "crash"), found=True)
    board("x/b")
    write_json(board.workspace.run("x/b").queue, Queue(wanted="queued", fresh=9.0).to_json())
    board.settle()
    assert board.taken("x/b") is None


def test_a_fresh_run_takes_no_search_from_before_and_gives_to_all(board):
    fresh = Queue(wanted="queued", fresh=5.0)
    board("x/old", Dead("", "crash"), found=True)
    board("x/new", queue=fresh)
    board("x/other", queue=replace(fresh, order=1))
    assert board.settle() == {"x/other": "waiting for the search of x/new"}
    board("y/new", Dead("", "crash"), found=True, queue=fresh)
    board.settle()
    assert board.taken("x/new") == "y/new"
    assert board.taken("x/other") in ("x/new", "y/new")
