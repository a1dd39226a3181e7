import pytest

from core.run.fields import LONGEST_TEXT, read
from s3tui.runs.records.queue import Queue, queued
from s3tui.runs.status import Broken, Dead, Paused
from s3tui.scheduling.retry_policy import KILLS, LONGEST_SECONDS, after, is_due

NOW = 1000.0


def answered(end, queue=None):
    return after(queue or Queue(retries=2), end, "attempt-1", NOW, backoff=10.0)


def crash(message):
    return Broken("crash", message, "")


@pytest.mark.parametrize("end", [crash("boom"), Broken("out-of-memory", "no room", ""), Dead("SIGSEGV", "crash")])
def test_a_crash_is_tried_again_after_a_while(end):
    queue = answered(end)
    assert (queue.wanted, queue.retried, queue.not_before, queue.settled) == ("queued", 1, NOW + 10, "attempt-1")
    assert queue.reason.startswith("retry 1 of 2 after ")


def test_each_retry_waits_twice_as_long_but_not_for_ever():
    queue = Queue(retries=20)
    waits = []
    for number in range(12):
        queue = answered(crash(f"another {'x' * number}"), queue)
        waits.append(queue.not_before - NOW)
    assert waits[:4] == [10, 20, 40, 80]
    assert waits[-1] == LONGEST_SECONDS


def test_neither_a_long_message_nor_many_retries_make_a_queue_that_cannot_be_read_back():
    end = crash("x" * LONGEST_TEXT)
    queue = answered(end, Queue(retries=2**62, retried=2**61))
    assert read(Queue, queue.to_json()) == queue
    assert queue.not_before == NOW + LONGEST_SECONDS
    assert answered(end, queue).reason == "it failed the same way twice"


def test_a_run_that_fails_the_same_way_twice_stops_with_the_reason():
    queue = answered(crash("tried to allocate 20.00 MiB"))
    queue = answered(crash("tried to allocate 31.50 MiB"), queue)
    assert (queue.wanted, queue.reason) == ("held", "it failed the same way twice")


def test_a_run_that_fails_in_other_ways_is_tried_as_often_as_was_said():
    queue = Queue(retries=2)
    for message in ("a", "b", "c"):
        assert queue.wanted == "queued"
        queue = answered(crash(message), queue)
    assert (queue.wanted, queue.reason) == ("held", "it was tried 3 times")
    assert answered(crash("a"), Queue(retries=0)).wanted == "held"


@pytest.mark.parametrize("kind", ["data", "spec", "model", "device", "disk", "diverged", "rundir"])
def test_what_would_fail_again_is_not_tried_again(kind):
    assert answered(Broken(kind, "", "")).wanted == "held"


def test_a_run_killed_from_outside_starts_again_without_spending_its_retries():
    killed, queue = Dead("the worker was ended by SIGKILL", "kill"), answered(crash("a"))
    for number in range(1, KILLS + 1):
        queue = answered(killed, queue)
        assert (queue.wanted, queue.retried, queue.killed) == ("queued", 1, number)
        assert queue.reason == f"start {number} of {KILLS} after a kill: the worker was ended by SIGKILL"
    # Kills in between make two failures of its own no less the same.
    assert answered(crash("a"), queue).reason == "it failed the same way twice"
    queue = answered(killed, queue)
    assert (queue.wanted, queue.reason) == ("held", f"it was killed {KILLS + 1} times")
    assert queued(queue, "attempt-1").killed == 0
    assert answered(killed, Queue(retries=0)).wanted == "held"


def test_a_restart_of_the_machine_costs_no_retry():
    queue = answered(Dead("the machine was restarted", "restart"))
    assert (queue.wanted, queue.retried, queue.not_before) == ("queued", 0, 0.0)


def test_a_run_of_another_machine_waits_for_somebody_to_say_so():
    assert answered(Dead("it ran on node1", "moved")).wanted == "held"


def test_a_run_that_was_stopped_stays_stopped():
    queue = answered(Paused("stopped by a signal"))
    assert (queue.wanted, queue.reason) == ("held", "stopped by a signal")


def test_a_clock_that_was_set_back_makes_nobody_wait_for_years():
    queue = Queue(not_before=NOW + 20)
    assert not is_due(queue, NOW)
    assert is_due(queue, NOW + 20)
    assert is_due(queue, NOW - 10_000_000)
