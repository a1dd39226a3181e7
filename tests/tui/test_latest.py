"""What the feed's thread publishes arrives in the app's: the last of it always, and a wake-up whenever one is due."""

import random
import sys
import threading
import time

import pytest

from s3tui.tui.support import latest

VALUES = 300


@pytest.fixture
def switched():
    """Threads that hand over to another one at every line of the module, as an interpreter may between any two."""

    draw = random.Random(0)

    def trace(frame, event, argument):
        if frame.f_code.co_filename != latest.__file__:
            return None
        time.sleep(draw.random() * 1e-4)
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    yield
    sys.settrace(before)
    threading.settrace(None)


def test_the_last_value_always_arrives_and_each_wake_up_finds_one(switched):
    box, woken, taken = latest.Latest(), threading.Semaphore(0), []

    def publish():
        for number in range(1, VALUES + 1):
            if box.put(number):
                woken.release()

    thread = threading.Thread(target=publish)
    thread.start()
    while not taken or taken[-1] < VALUES:
        assert woken.acquire(timeout=5), f"nothing announces what came after {taken[-1]}"
        value = box.take()
        assert value is not None, "two wake-ups for one value"
        taken.append(value)
    thread.join()
    assert taken == sorted(set(taken))
    assert box.take() is None
