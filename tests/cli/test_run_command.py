import os
import pty
import signal
import subprocess

import pytest
from processes import DEADLINE, NO_RETRIES, STAND_IN, SUITE, drive, is_alive, kill, wait_until, worker_pid
from terminals import at_a_terminal

from core.run.events import Finished, Started, read_events
from core.run.rundir import RunDir, read_json
from s3tui.devices.nvml import visible_gpus
from s3tui.runs.status import Paused
from s3tui.runs.workspace import Workspace, read_run
from s3tui.system.cpu import usable_cores


def test_a_suite_runs_and_its_results_are_printed(run, tmp_path):
    code, out, err = run('[experiment.s]\n[experiment.r]\nmethod = "random"\nmatrix = { seed = [0, 1] }\n')
    assert code == 0
    assert "s3 (s, 60.00) is 4.50 points above the best without a search, random (r, 55.50); runs: 1 and 2." in out
    assert "r/seed=1: done, accuracy 56.00, 9,076 parameters, 1m 23s\n" in err
    assert "s: done, accuracy 60.00, 9,076 parameters, 1m 23s; search undecided: 0 of 1 chosen candidates have" in err
    assert "s: retrain 40/40, validation: accuracy 40.00, macro_f1 10.00, best so far" in err
    assert read_json(tmp_path / "runs/first/r/seed=1/spec.json")["seed"] == 1


def test_only_what_is_named_is_run(run, tmp_path):
    experiments = '[experiment.s]\n[experiment.r]\nmethod = "random"\nmatrix = { seed = [0, 1] }\n'
    assert run(experiments, "r", "nothing")[0] == 2
    assert not (tmp_path / "runs").exists()
    assert run(experiments, "r")[0] == 0
    assert sorted(path.name for path in (tmp_path / "runs/first").iterdir()) == ["r"]


def test_finished_runs_are_skipped_with_fresh_too_if_their_settings_are_the_same(run, tmp_path):
    experiments = "[experiment.s]\n"
    run(experiments)
    events = tmp_path / "runs/first/s/events.jsonl"
    before = events.read_bytes()
    code, out, err = run(experiments)
    assert (code, events.read_bytes()) == (0, before)
    skipped, after = err.splitlines()
    assert skipped == "s: finished before, skipped"
    file = tmp_path / "suite.toml"
    assert after == (
        f"see it: s3tui open {file}; take it along: s3tui export first/s --to merged -o s-merged --in {file}"
    )
    assert "60.00" in out
    code, _, err = run(f"{experiments}[experiment.r]\nseed = 1\n", "--fresh")
    assert (code, events.read_bytes()) == (0, before)
    assert err.startswith("s: finished before, skipped\n--fresh replaced nothing: ")
    code, _, err = run(f"{experiments}[experiment.r]\nseed = 2\n", "--fresh")
    assert (code, events.read_bytes()) == (0, before)
    assert err.startswith("r: what was there is deleted; it starts with the settings of ")
    assert read_json(tmp_path / "runs/first/r/spec.json")["seed"] == 2


def test_fresh_lists_what_it_would_delete_and_asks_at_a_terminal(suite, run, tmp_path):
    run("[experiment.kept]\nseed = 9\n[experiment.s]\nmatrix = { seed = [0, 1] }\n")
    results = [tmp_path / f"runs/first/{name}/result.json" for name in ("kept", "s/seed=0", "s/seed=1")]
    before = [path.stat().st_mtime_ns for path in results]
    changed = suite("[experiment.kept]\nseed = 9\n[experiment.s]\nsearch.clip = 1.0\nmatrix = { seed = [0, 1] }\n")
    command = [*STAND_IN, "drive", str(changed), "--fresh", "--asks"]
    code, written = at_a_terminal(command, DEADLINE, b"n\n", env=os.environ | {"TERM": "dumb"})
    said = written.decode()
    assert (code, [path.stat().st_mtime_ns for path in results]) == (2, before), said
    assert [line for line in said.splitlines() if "deletes it" in line] == [
        f"s/seed={seed} (finished): --fresh deletes it, results too" for seed in (0, 1)
    ]
    assert "nothing was deleted" in said
    code, written = at_a_terminal(command, DEADLINE, b"y\n", env=os.environ | {"TERM": "dumb"})
    assert code == 0, written
    assert [path.stat().st_mtime_ns == was for path, was in zip(results, before, strict=True)] == [True, False, False]
    assert read_json(tmp_path / "runs/first/s/seed=1/spec.json")["search"]["clip"] == 1.0


def test_fresh_deletes_nothing_where_nobody_can_be_asked(suite, run, tmp_path):
    run("[experiment.s]\n")
    process = drive(suite("[experiment.s]\nseed = 3\n"), "--fresh", "--asks", stdin=subprocess.DEVNULL)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert err.endswith("s3tui: stdin is not a terminal: pass --yes\n")
    assert read_json(tmp_path / "runs/first/s/spec.json")["seed"] == 0


def test_a_run_that_failed_before_training_takes_new_settings_without_a_question(suite, run, tmp_path):
    assert run('[experiment.s]\nmodel = "bad-data"\n')[0] == 2
    process = drive(suite("[experiment.s]\n"), "--asks", stdin=subprocess.DEVNULL)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert err.startswith("s: what was there is deleted; it starts with the settings of ")
    assert read_json(tmp_path / "runs/first/s/spec.json")["model"] == "succeed"


def test_other_settings_are_refused_before_anything_starts_unless_fresh(run, tmp_path):
    run("[experiment.s]\n")
    changed = "[experiment.new]\nseed = 5\n[experiment.s]\nseed = 7\nsearch = { epochs = 1, clip = 1.0 }\n"
    code, _, err = run(changed)
    assert code == 2
    assert err == (
        "s3tui: s: was run with other settings: seed is 0 there and 7 now; search.clip is 2.0 there and 1.0 now; "
        "--fresh replaces it\n"
    )
    assert not (tmp_path / "runs/first/new").exists()
    assert run(changed, "--fresh")[0] == 0
    assert read_json(tmp_path / "runs/first/s/spec.json")["seed"] == 7


@pytest.mark.parametrize("content", ["{", "{}", '{"space": {"name": "x", "groups": [{"head": ["gone"]}]}}'])
def test_a_damaged_spec_is_refused_with_what_to_do(run, tmp_path, content):
    run("[experiment.s]\n")
    (tmp_path / "runs/first/s/spec.json").write_text(content)
    code, _, err = run("[experiment.s]\n")
    assert code == 2
    assert "is damaged or of another version; --fresh replaces it" in err
    assert run("[experiment.s]\n", "--fresh")[0] == 0


def test_a_run_never_lies_inside_another(run):
    run("[experiment.s]\n")
    code, _, err = run("[experiment.s]\nmatrix = { seed = [0, 1] }\n", "--fresh")
    assert code == 2
    assert "first/s is a run of this experiment as it was before; move that folder or delete it" in err
    run("[experiment.r]\nmatrix = { seed = [0, 1] }\n")
    assert run("[experiment.r]\n", "--fresh")[0] == 2


def test_fresh_deletes_nothing_outside_of_the_workspace(run, tmp_path):
    run("[experiment.s]\n")
    (tmp_path / "runs/first/s").rename(tmp_path / "precious")
    (tmp_path / "runs/first/s").symlink_to(tmp_path / "precious")
    code, _, err = run("[experiment.s]\n", "--fresh")
    assert code == 2
    assert "is a link, which may lead anywhere" in err
    assert (tmp_path / "precious/result.json").exists()


def test_failures_do_not_stop_the_others_and_are_listed_at_the_end(run, tmp_path):
    code, out, err = run('[experiment.bad]\nmodel = "bad-data"\n[experiment.s]\n[experiment.c]\nmodel = "crash"\n')
    assert code == 1
    assert "60.00" in out
    log = tmp_path / "runs/first/bad/log.txt"
    assert err.splitlines()[-2:] == [
        f"bad: data: the file has no column 'label': its columns are a, b (log: {log})",
        f"c: error: ZeroDivisionError: division by zero (log: {tmp_path / 'runs/first/c/log.txt'})",
    ]


def test_wrong_input_alone_exits_as_wrong_input(run):
    assert run('[experiment.bad]\nmodel = "bad-data"\n[experiment.s]\n')[0] == 2


def test_a_worker_that_dies_is_told_with_the_end_of_its_log(run):
    code, _, err = run('[experiment.x]\nmodel = "silent-exit"\n')
    manner = "the worker ended with exit code 3 and reported no error"
    assert code == 1
    assert f"x: retry 1 of 2 after crash: {manner}" in err
    assert f"x: dead: {manner}; it failed the same way twice (log: " in err
    assert err.splitlines()[-1] == "    Segmentation fault, more or less"


def test_a_run_that_died_is_tried_again(run, tmp_path):
    code, _, err = run('[experiment.x]\nmodel = "second-time"\n')
    assert code == 0
    assert "x: start 1 of 10 after a kill: the worker was ended by SIGKILL" in err
    events, _ = read_events(tmp_path / "runs/first/x/events.jsonl")
    assert sum(isinstance(event, Started) for event in events) == 2


@pytest.mark.skipif(bool(visible_gpus()), reason="this machine has a GPU")
def test_what_this_machine_can_never_run_keeps_nobody_waiting(run):
    code, out, err = run('[experiment.x]\nresources = { gpus = 1, memory = "20GB" }\n[experiment.s]\nseed = 1\n')
    assert code == 1
    assert "61.00" in out
    assert "x: queued: waiting for 20 GB on a GPU: there is none (log: " in err


def test_a_worker_that_somebody_stops_by_hand_stays_stopped(suite, workspace):
    process = drive(suite('[experiment.x]\nmodel = "stops-on-term"\n'))
    kill(worker_pid(workspace.run("first/x").path), signal.SIGTERM)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert "x: paused: stopped by a signal" in err


def test_one_slot_runs_one_at_a_time(run, tmp_path):
    one_slot = SUITE.replace("threads = 1", f"threads = {usable_cores()}")
    assert run("[experiment.a]\nmatrix = { seed = [0, 1, 2] }\n", head=one_slot)[0] == 0
    spans = []
    for seed in (0, 1, 2):
        events, _ = read_events(tmp_path / f"runs/first/a/seed={seed}/events.jsonl")
        spans += [next(e.t for e in events if isinstance(e, kind)) for kind in (Started, Finished)]
    assert spans == sorted(spans)


def test_without_retries_a_crash_is_the_end_until_the_suite_is_run_again(run, tmp_path):
    code, _, err = run('[experiment.x]\nmodel = "second-time"\n', head=NO_RETRIES)
    assert code == 1
    assert "x: dead: the worker was ended by SIGKILL (log: " in err
    assert run('[experiment.x]\nmodel = "second-time"\n', head=NO_RETRIES)[0] == 0
    events, _ = read_events(tmp_path / "runs/first/x/events.jsonl")
    assert sum(isinstance(event, Started) for event in events) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_terminal_an_interrupt_stops_the_workers_and_says_so(suite, tmp_path, number):
    one_slot = SUITE.replace("threads = 1", f"threads = {usable_cores()}")
    process = drive(suite('[experiment.x]\nmodel = "with-child"\n[experiment.y]\n', one_slot))
    directory = tmp_path / "runs/first/x"
    child = int(wait_until(lambda: (directory / "child").exists() and (directory / "child").read_text()))
    worker = worker_pid(directory)
    process.send_signal(number)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "s3tui: stopped x; 1 had not started: run the same command again to go on"
    assert not is_alive(worker)
    assert not is_alive(child)
    status, queued = (read_run(RunDir(tmp_path / "runs/first" / name), name).status for name in "xy")
    assert status == Paused("stopped on demand")
    assert queued == Paused("stopped on demand")


def test_a_terminal_that_hangs_up_leaves_the_runs_to_a_dispatcher_without_one(suite, tmp_path):
    process = drive(suite('[experiment.x]\nmodel = "until-told"\n'))
    directory = tmp_path / "runs/first/x"
    worker = worker_pid(directory)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "s3tui: left x running, 0 waiting" in err
    assert is_alive(worker)
    assert Workspace(tmp_path / "runs").dispatcher()["pid"] != process.pid
    (directory / "go").touch()
    wait_until(lambda: (directory / "result.json").exists())
    wait_until(lambda: Workspace(tmp_path / "runs").dispatcher() is None)


def test_a_second_interrupt_does_not_wait_for_a_deaf_worker(suite, tmp_path):
    said = tmp_path / "said"
    with said.open("w") as file:
        process = drive(suite('[experiment.x]\nmodel = "stubborn"\n'), stderr=file)
    directory = tmp_path / "runs/first/x"
    wait_until(lambda: (directory / "deaf").exists())
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "waiting for x to end" in said.read_text())
    # Once, as one more could meet a program that has told its end already, and is about to exit.
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert said.read_text().splitlines()[-1].startswith("s3tui: stopped x: ")
    assert process.returncode == 130
    assert not is_alive(worker_pid(directory))


def test_the_next_dispatcher_adopts_the_worker_of_one_that_was_killed(suite, run, tmp_path):
    experiments = '[experiment.x]\nmodel = "until-told"\n'
    process = drive(suite(experiments))
    directory = tmp_path / "runs/first/x"
    worker = worker_pid(directory)
    process.kill()
    process.communicate(timeout=DEADLINE)
    assert is_alive(worker)
    code, _, err = run(experiments + "seed = 1\n", "--fresh")
    assert (code, err) == (2, "s3tui: x: is being worked on; wait for it, or stop it\n")
    second = drive(suite(experiments))
    wait_until(lambda: (Workspace(tmp_path / "runs").dispatcher() or {}).get("pid") == second.pid)
    (directory / "go").touch()
    out, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0
    assert "60.00" in out
    assert worker_pid(directory) == worker


def test_a_workspace_that_cannot_be_made_is_told(run, tmp_path):
    (tmp_path / "runs").write_text("in the way")
    code, _, err = run("[experiment.s]\n")
    assert code == 2
    assert err == (f"s3tui: {tmp_path / 'runs'} cannot be written to: Not a directory: name another workspace\n")


def test_a_terminal_shows_bars_and_is_left_as_it_was(suite, tmp_path):
    leader, follower = pty.openpty()
    process = drive(suite('[experiment.x]\nmodel = "hang"\n'), stderr=follower, env=os.environ | {"TERM": "xterm"})
    os.close(follower)
    seen = b""
    while b"0 of 1 done, 1 running, 0 waiting" not in seen:
        seen += os.read(leader, 65536)
    worker_pid(tmp_path / "runs/first/x")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    while b"stopped x" not in seen:
        seen += os.read(leader, 65536)
    os.close(leader)
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")  # the cursor is shown again
    assert process.returncode == 130
