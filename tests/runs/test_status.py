"""Where a run stands, from facts alone."""

import pytest

from core.run.events import Eval, Failed, Finished
from s3tui.runs.records.process import Exit, Process
from s3tui.runs.records.queue import Queue
from s3tui.runs.records.result import Result
from s3tui.runs.status import (
    Broken,
    Cancelled,
    Dead,
    Done,
    Facts,
    Paused,
    Queued,
    Quiet,
    Running,
    attempt_of,
    status_of,
)
from s3tui.system.process_identity import Identity

WORKER = Identity(10, 500, "boot-1")
PROCESS = Process(WORKER, Identity(9, 490, "boot-1"), "node1", "gpu 0", 1000.0, 60.0, 0, 0)
RESULT = Result("t", "m", "s3", "accuracy", 0.5, None, 10, 100, 3.0)


def ended(code=None, signal=None, asked="", out_of_memory=False):
    return Exit(WORKER, code, signal, out_of_memory, asked, 1.0, 0)


def status(queue=None, process=PROCESS, host="node1", boot="boot-1", **facts):
    return status_of(Facts(queue or Queue(submitted=7.0), process, host=host, boot=boot, **facts))


def test_a_run_without_an_attempt_waits():
    assert status(process=None) == Queued(7.0)


def test_a_run_whose_process_lives_is_running_whatever_its_files_say():
    for facts in ({}, {"result": RESULT}, {"last": Failed("crash", "", "")}):
        assert status(alive=True, locked=True, event_age=1.0, **facts) == Running(PROCESS)


def test_a_run_that_tells_nothing_is_quiet_and_says_whether_it_gives_signs_of_life():
    quiet = status(alive=True, locked=True, event_age=100.0, heartbeat_age=2.0)
    assert quiet == Quiet(PROCESS, 100.0, 2.0)
    assert quiet.note == "gpu 0, no event for 100 s, alive"
    hung = status(alive=True, locked=True, event_age=100.0, heartbeat_age=95.0)
    assert hung.note == "gpu 0, no event for 100 s, no sign of life for 95 s"


def test_silence_alone_is_never_death():
    assert isinstance(status(alive=True, event_age=1e9, heartbeat_age=1e9), Quiet)


def test_a_run_that_is_not_wanted_any_more_is_stopping_while_it_lives():
    assert status(Queue(wanted="held"), alive=True).stopping
    assert status(Queue(wanted="cancelled"), alive=True).stopping


def test_a_lock_without_its_process_is_a_run_about_to_start():
    assert status(process=None, locked=True) == Running(None)
    assert status(locked=True) == Running(None)


def test_a_result_is_the_end():
    for queue in (Queue(), Queue(wanted="held"), Queue(wanted="cancelled")):
        assert status(queue, result=RESULT) == Done(RESULT)


def test_an_error_of_its_own_is_told_with_what_to_do():
    broken = status(last=Failed("data", "no file", "look"), exit=ended(code=2))
    assert broken == Broken("data", "no file", "look")
    assert broken.note == "data: no file: look"


@pytest.mark.parametrize(
    ("facts", "manner", "kind"),
    [
        ({"exit": ended(signal="SIGKILL")}, "the worker was ended by SIGKILL", "kill"),
        ({"exit": ended(signal="SIGSEGV")}, "the worker was ended by SIGSEGV", "crash"),
        ({"exit": ended(signal="SIGKILL", out_of_memory=True)}, "killed by the kernel: out of memory", "out-of-memory"),
        ({"exit": ended(code=3)}, "the worker ended with exit code 3 and reported no error", "crash"),
        ({"boot": "boot-2"}, "the machine was restarted", "restart"),
        (
            {"boot": "boot-2", "host": "node2"},
            "it ran on node1, and ended there or cannot be seen from here",
            "moved",
        ),
        ({}, "the worker and its supervisor are gone; how they ended is not known", "kill"),
    ],
)
def test_a_worker_that_went_without_a_word_is_dead_in_the_manner_that_is_known(facts, manner, kind):
    last = Eval("search", 1, "validation", {"accuracy": 0.1}, True)
    assert status(last=last, **facts) == Dead(manner, kind)


def test_the_worker_of_another_machine_runs_while_it_gives_signs_of_life():
    assert status(host="node2", boot="boot-2", heartbeat_age=3.0) == Running(PROCESS)
    assert isinstance(status(host="node2", boot="boot-2", heartbeat_age=300.0), Dead)


def test_an_end_that_was_answered_is_no_news():
    settled = attempt_of(PROCESS)
    waiting = Queue(submitted=7.0, settled=settled, not_before=9.0, reason="retry 1 of 2")
    assert status(waiting, exit=ended(signal="SIGKILL")) == Queued(7.0, 9.0, "retry 1 of 2")
    assert isinstance(status(Queue(settled="an earlier one"), exit=ended(signal="SIGKILL")), Dead)


def test_what_was_stopped_is_paused_and_what_was_cancelled_is_that():
    stopped = Failed("stopped", "stopped by a signal", "")
    assert status(Queue(wanted="held", reason="on demand"), last=stopped) == Paused("on demand")
    assert status(last=stopped) == Paused("stopped by a signal")
    assert status(Queue(wanted="held"), exit=ended(signal="SIGKILL", asked="stop")) == Paused(
        "killed before it could leave a checkpoint"
    )
    assert status(Queue(wanted="cancelled"), exit=ended(signal="SIGKILL", asked="kill")) == Cancelled()


def test_a_checkpoint_left_when_the_machine_went_down_is_no_wish_to_stop():
    stopped = Failed("stopped", "stopped by a signal", "")
    assert status(last=stopped, boot="boot-2") == Dead("the machine was restarted", "restart")
    assert isinstance(status(Queue(wanted="held"), last=stopped, boot="boot-2"), Paused)


def test_a_good_end_without_a_result_is_a_failure():
    for facts in ({"last": Finished(0.5, {}, 1.0)}, {"exit": ended(code=0)}):
        assert status(**facts).kind == "rundir"
