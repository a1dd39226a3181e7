"""The commands that look at runs and steer them, on stand-in workers."""

import json
import os
import pty
import select
import signal
import subprocess
import sys

import pytest
from processes import DEADLINE, NO_RETRIES, SUITE, drive, is_alive, wait_until, worker_pid

from core.run.rundir import write_json
from core.run.structure import Candidate, Structure
from s3tui.runs.records.process import read_process
from s3tui.system.cpu import usable_cores

ONE_SLOT = SUITE.replace("threads = 1", f"threads = {usable_cores()}\nretries = 0")
TWO = '[experiment.x]\nmodel = "until-told"\ntags = ["pilot"]\n[experiment.y]\npriority = -1\n'


@pytest.fixture
def busy(suite, workspace):
    """One run under way, another that waits for it, and a detached dispatcher."""
    process = drive(suite(TWO, ONE_SLOT), "--detach")
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    worker_pid(workspace.run("first/x").path)
    return workspace


def go(workspace):
    (workspace.run("first/x").path / "go").touch()


def test_detach_returns_and_the_runs_go_on(busy, states):
    assert busy.dispatcher()["pid"] > 0
    assert states() == {"x": "running", "y": "queued"}
    go(busy)
    wait_until(lambda: states() == {"x": "finished", "y": "finished"})
    wait_until(lambda: busy.dispatcher() is None)
    assert busy.dispatcher_log.read_text() == ""


def test_status_tells_what_runs_and_why_the_rest_waits(busy, told, s3tui):
    now = wait_until(lambda: (t := told("status", "--in", "runs")) and t["waiting"][0]["reason"] and t)
    assert now["dispatcher"]["pid"] == busy.dispatcher()["pid"]
    assert [(s["suite"], s["running"], s["queued"]) for s in now["suites"]] == [("first", 1, 1)]
    assert [run["name"] for run in now["running"]] == ["first/x"]
    cores = usable_cores()
    assert now["waiting"] == [{"name": "first/y", "reason": f"waiting for {cores} cores: 0 of {cores} free"}]
    code, out, _ = s3tui("status", "--in", "suite.toml")
    assert code == 0
    assert f"dispatched by process {busy.dispatcher()['pid']} on " in out
    assert "first/y  waiting for" in out


def test_status_has_the_verdict_on_a_search_beside_the_score_of_a_run(busy, told, s3tui):
    wait_until(lambda: told("status", "--in", "runs")["running"])
    candidates = tuple(Candidate("attn.q", "encoder", i, f"layer.{i}.q", "bitfit", 10) for i in range(3))
    assert told("status", "--in", "runs")["running"][0]["verdict"] is None
    structure = Structure(candidates, (0.96, 0.02, 0.02), (0,), 10, "m")
    write_json(busy.run("first/x").structure, structure.to_json())
    assert [run["verdict"] for run in told("status", "--in", "runs")["running"]] == ["decided"]
    assert "search decided" in s3tui("status", "--in", "runs")[1]


def test_list_filters_and_sorts(busy, told, s3tui):
    assert [row["name"] for row in told("list", "--in", "runs", "--sort", "priority")["runs"]] == ["first/y", "first/x"]
    assert [row["name"] for row in told("list", "tag:pilot", "--in", "runs")["runs"]] == ["first/x"]
    assert [row["name"] for row in told("list", "-tag:pilot", "status:queued", "--in", "runs")["runs"]] == ["first/y"]
    assert s3tui("list", "colour:red", "--in", "runs")[0] == 2


def test_a_run_is_stopped_and_resumed(busy, told, states):
    worker = worker_pid(busy.run("first/x").path)
    assert told("stop", "x", "--in", "runs")["runs"][0]["done"] == "stopped"
    assert not is_alive(worker)
    assert states()["x"] == "paused"
    assert told("resume", "x", "--in", "runs")["runs"][0]["done"] == "queued"
    go(busy)
    attach = drive("attach", str(busy.path))
    attach.communicate(timeout=DEADLINE)
    assert states() == {"x": "finished", "y": "finished"}


def test_the_queue_is_paused_and_goes_on(busy, told, states):
    assert told("pause", "--in", "runs") == {"queue": "paused"}
    go(busy)
    wait_until(lambda: states()["x"] == "finished")
    wait_until(
        lambda: told("status", "--in", "runs")["waiting"] == [{"name": "first/y", "reason": "the queue is paused"}]
    )
    assert told("resume", "--in", "runs") == {"queue": "goes on"}
    wait_until(lambda: states()["y"] == "finished")


def test_a_cancelled_run_is_killed_and_stays_cancelled_until_it_is_tried_again(busy, told, states, s3tui):
    assert told("cancel", "*", "--in", "runs")["runs"] == [
        {"name": "first/x", "done": "cancelled", "refused": ""},
        {"name": "first/y", "done": "cancelled", "refused": ""},
    ]
    assert states() == {"x": "cancelled", "y": "cancelled"}
    wait_until(lambda: busy.dispatcher() is None)
    code, out, err = s3tui("retry", "y", "--in", "runs")
    assert (code, out) == (0, "first/y: queued\n")
    assert err.splitlines() == [
        "no dispatcher is running for this workspace: start one with s3tui attach",
        "retried runs keep the settings that they were created with; s3tui run FILE --fresh takes those of FILE",
    ]
    drive("attach", str(busy.path)).communicate(timeout=DEADLINE)
    assert states() == {"x": "cancelled", "y": "finished"}


def test_the_more_important_run_starts_first(busy, told, suite, workspace):
    experiments = TWO + "[experiment.z]\nseed = 7\n"
    drive(suite(experiments, ONE_SLOT), "--detach").communicate(timeout=DEADLINE)
    assert told("priority", "y", "5", "--in", "runs")["runs"][0]["done"] == "priority 5"
    go(busy)
    ends = [wait_until(lambda name=name: read_process(workspace.run(f"first/{name}"))) for name in ("y", "z")]
    assert ends[0].started < ends[1].started


def files(directory):
    return {path.relative_to(directory.path) for path in directory.path.rglob("*")}


def test_rm_deletes_nothing_without_a_yes_and_nothing_of_what_runs(busy, s3tui, workspace, states):
    waiting, running = workspace.run("first/y"), workspace.run("first/x")
    before = files(waiting)
    code, _, err = s3tui("rm", "y", "--in", "runs")
    assert code == 2
    assert "--yes" in err
    assert files(waiting) == before
    before, pid = files(running), worker_pid(running.path)
    code, _, err = s3tui("rm", "--yes", "x", "--in", "runs")
    assert code == 2
    assert f"{running.path} is being worked on" in err
    assert files(running) >= before
    assert is_alive(pid)
    assert s3tui("rm", "--yes", "y", "--in", "runs")[0] == 0
    assert not waiting.path.exists()
    assert states() == {"x": "running"}
    go(busy)
    wait_until(lambda: states() == {"x": "finished"})


def test_rm_asked_at_a_terminal_deletes_on_yes_alone(run, workspace, tmp_path, states):
    run("[experiment.x]\n")
    for answer, left in (("n\n", {"x": "finished"}), ("y\n", {})):
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "s3tui", "rm", "x", "--in", "runs"], cwd=tmp_path, stdin=follower, stderr=follower
        )
        os.close(follower)
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(leader, 4096)
        os.write(leader, answer.encode())
        process.wait(timeout=DEADLINE)
        os.close(leader)
        assert states() == left


def test_gc_deletes_what_nobody_needs_and_nothing_else(run, workspace, told, states):
    run("[experiment.x]\n[experiment.y]\nmodel = 'crash'\n")
    done, failed = workspace.run("first/x"), workspace.run("first/y")
    for directory in (done, failed):
        directory.checkpoint.mkdir()
        (directory.checkpoint / "state").write_bytes(b"12345")
        (directory.path / ".summary.json.999999999").write_text("half")
        (directory.path / f".summary.json.{os.getpid()}").write_text("of a process that lives")
    (workspace.path / "first/.deleted-z").mkdir()
    told_of = told("gc", "--in", "runs")
    assert sorted(told_of["deleted"]) == [
        "first/.deleted-z",
        "first/x/.summary.json.999999999",
        "first/x/checkpoint",
        "first/y/.summary.json.999999999",
    ]
    assert told_of["bytes"] == 13
    assert (failed.checkpoint / "state").exists()
    assert (done.path / f".summary.json.{os.getpid()}").exists()
    assert states() == {"x": "finished", "y": "failed"}


def test_show_tells_all_about_a_run(run, told, s3tui):
    run("[experiment.x]\nmodel = 'kill-self'\n", head=NO_RETRIES)
    about = told("show", "x", "--in", "runs")
    assert (about["status"], about["spec"]["model"]) == ("dead", "kill-self")
    assert about["note"] == "the worker was ended by SIGKILL"
    assert about["log_tail"] == ["playing kill-self", "about to be killed"]
    code, out, _ = s3tui("show", "x", "--in", "runs")
    assert code == 0
    assert "log         about to be killed\n" in out
    assert "search.clip = 2.0" in out


def test_logs_and_events_are_followed_to_the_end_of_the_run(busy, tmp_path):
    followers = [
        subprocess.Popen(
            [sys.executable, "-m", "s3tui", what, "x", "-f", "--json", "--in", "runs"],
            cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        )
        for what in ("logs", "events")
    ]  # fmt: skip
    first = [json.loads(follower.stdout.readline()) for follower in followers]
    assert first[0] == {"line": "playing until-told"}
    assert first[1]["type"] == "started"
    go(busy)
    rest = [follower.communicate(timeout=DEADLINE)[0] for follower in followers]
    assert json.loads(rest[1].splitlines()[-1])["type"] == "finished"
    assert [follower.returncode for follower in followers] == [0, 0]


def test_no_escape_sequence_of_a_run_reaches_the_terminal(run, workspace, s3tui):
    run("[experiment.x]\nmodel = 'crash'\n")
    directory = workspace.run("first/x")
    with directory.log.open("ab") as log:
        log.write(b"\x1b]0;owned\x07\x1b[31mred\x9b1m\rprogress\n")
    write_json(directory.summary, {"phase": "\x1b[2J", "step": 1, "method": "\x1b]52;c;AAAA\x07"})
    with directory.events.open("ab") as events:
        events.write(b'{"type":"failed","kind":"\\u001b[31m","message":"\\u009b2J\\u202e","hint":"","t":1}\n')
    evil = workspace.path / "first" / "\x1b]0;owned\x07"
    evil.mkdir()
    (evil / "spec.json").write_text('{"method": "\\u001b[31m", "task": {"name": "\\u001b]0;t\\u0007"}}')
    for arguments in (("list",), ("status",), ("show", "x"), ("logs", "x"), ("events", "x")):
        for form in ((), ("--json",)):
            _, out, err = s3tui(*arguments, *form, "--in", "runs")
            for mark in ("\x1b", "\x9b", "\x07", "\u202e"):
                assert mark not in out + err, arguments
    _, out, _ = s3tui("logs", "x", "--in", "runs")
    assert out.splitlines()[-1] == "progress"


@pytest.mark.parametrize("arguments", [("show", "y"), ("cancel", "y"), ("logs", "y"), ("show", "nothing/*")])
def test_a_run_that_is_not_there_is_a_mistake_of_the_user(run, s3tui, arguments):
    run("[experiment.x]\n")
    code, out, err = s3tui(*arguments, "--in", "runs")
    assert (code, out) == (2, "")
    assert "no run is called" in err


def test_what_cannot_be_done_is_refused_and_a_pattern_passes_over_it(run, s3tui):
    run("[experiment.x]\n[experiment.y]\nmodel = 'crash'\n")
    code, _, err = s3tui("cancel", "x", "--in", "runs")
    assert code == 2
    assert "first/x is finished" in err
    code, out, _ = s3tui("cancel", "*", "--in", "runs")
    assert (code, out) == (0, "first/y: cancelled\n")


def test_the_shell_is_offered_the_names_of_runs(run, s3tui):
    run("[experiment.x]\n[experiment.yes]\nseed = 1\n")
    _, out, _ = s3tui(_S3TUI_COMPLETE="complete_bash", COMP_WORDS="s3tui show --in runs first/y", COMP_CWORD="4")
    assert out.split() == ["first/yes"]


class Terminal:
    """`s3tui run` at a terminal of its own."""

    def __init__(self, file):
        self.leader, follower = pty.openpty()
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
        self.process = drive(file, stdin=follower, stderr=follower, env=environment)
        os.close(follower)
        self.seen = b""

    def wait_for(self, text):
        while text not in self.seen:
            assert select.select([self.leader], [], [], DEADLINE)[0], self.seen
            self.seen += os.read(self.leader, 65536)
        self.seen = self.seen.partition(text)[2]

    def answer(self, text):
        os.write(self.leader, text)


@pytest.mark.parametrize(
    ("answer", "last", "after"),
    [
        (b"s\n", b"s3tui: stopped x; 1 had not started", {"x": "paused", "y": "paused"}),
        (b"c\n", b"s3tui: cancelled x; 1 had not started", {"x": "cancelled", "y": "cancelled"}),
        (b"l\n", b"s3tui: left x running, 1 waiting", {"x": "running", "y": "queued"}),
    ],
)
def test_ctrl_c_asks_what_to_do_with_the_runs(suite, workspace, states, answer, last, after):
    terminal = Terminal(suite(TWO, ONE_SLOT))
    worker_pid(workspace.run("first/x").path)
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for(b"(l)eave the runs going, (s)top them with a checkpoint, (c)ancel them")
    terminal.answer(b"\n")
    terminal.wait_for(b"0 of 2 done")  # goes on watching
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for(b"goes on watching: ")
    terminal.answer(answer)
    terminal.wait_for(last)
    terminal.process.communicate(timeout=DEADLINE)
    assert terminal.process.returncode == 130
    assert states() == after
    if answer == b"l\n":
        go(workspace)
        wait_until(lambda: states() == {"x": "finished", "y": "finished"})
    os.close(terminal.leader)


def test_detach_says_so_where_its_dispatcher_dies_at_once(suite, workspace, states):
    workspace.make()
    workspace.lock.mkdir()
    process = drive(suite(TWO), "--detach")
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    first, *_, last = err.splitlines()
    assert first == f"s3tui: 2 queued, but their dispatcher ended at once (log: {workspace.dispatcher_log})"
    assert last.startswith("    IsADirectoryError: ")
    assert states() == {"x": "queued", "y": "queued"}
