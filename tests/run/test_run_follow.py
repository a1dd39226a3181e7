import os

import pytest

from core.run.events import EventReader, EventWriter, Phase, Step, to_line


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def steps(events):
    return [event.step for event in events]


def step(number):
    return Step("search", number, 1.0, 1.0, 1e-3)


def test_a_file_that_is_not_there_yet_is_an_empty_one(path):
    tail = EventReader(path)
    assert tail.poll() == []
    EventWriter(path).write(step(1))
    assert steps(tail.poll()) == [1]
    assert tail.poll() == []


def test_a_torn_tail_is_held_until_the_rest_of_it_comes(path):
    tail, line = EventReader(path), to_line(step(1), 0, 1.0)
    with path.open("ab", buffering=0) as file:
        for part in (line[:7], line[7:-1]):
            file.write(part)
            assert tail.poll() == []
        file.write(line[-1:] + to_line(step(2), 1, 2.0))
    assert steps(tail.poll()) == [1, 2]
    assert tail.skipped == 0


def test_a_tail_of_zeros_is_skipped_once_a_later_attempt_has_closed_it(path):
    EventWriter(path).write(step(1))
    with path.open("ab") as file:
        file.write(bytes(5000))
    tail = EventReader(path)
    assert steps(tail.poll()) == [1]
    EventWriter(path).write(step(2))
    assert steps(tail.poll()) == [2]
    assert tail.skipped == 1


def test_lines_of_anything_are_counted_and_skipped(path):
    path.write_bytes(b'no json\n{"type":"unheard-of"}\n\xff\xfe\n\n' + to_line(step(3), 0, 1.0))
    tail = EventReader(path)
    assert steps(tail.poll()) == [3]
    assert tail.skipped == 3


def test_a_file_that_was_replaced_or_cut_is_read_anew(path):
    writer = EventWriter(path)
    for number in (1, 2, 3):
        writer.write(step(number))
    tail = EventReader(path)
    tail.poll()
    os.truncate(path, len(to_line(step(1), 0, 1.0)) // 2)
    assert tail.poll() == []
    path.unlink()
    EventWriter(path).write(step(9))
    assert steps(tail.poll()) == [9]


def test_a_tail_that_was_closed_goes_on_where_it_was(path):
    writer = EventWriter(path)
    writer.write(Phase("search", 5))
    tail = EventReader(path)
    assert len(tail.poll()) == 1
    tail.close()
    writer.write(step(1))
    assert steps(tail.poll()) == [1]


def test_a_long_file_is_read_in_pieces(path):
    writer = EventWriter(path)
    for number in range(100):
        writer.write(step(number))
    tail = EventReader(path)
    pieces = [tail.poll(1000)]
    assert tail.is_behind
    while tail.is_behind:
        pieces.append(tail.poll(1000))
    assert len(pieces) > 10
    assert [number for piece in pieces for number in steps(piece)] == list(range(100))
