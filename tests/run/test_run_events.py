"""Events: what was written is read again, whatever happened to the file in between."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.run.events import (
    TYPES,
    VERSION,
    Checkpoint,
    Data,
    EndedEarly,
    Eval,
    Event,
    EventReader,
    EventWriter,
    Failed,
    Finished,
    Gates,
    Phase,
    SearchTaken,
    Space,
    Started,
    Step,
    StructureChosen,
    from_line,
    read_events,
    to_line,
)

ARCHIVE = Path(__file__).parents[1] / "data" / "events-v1.jsonl"
DEADLINE = 30.0  # seconds; what is waited for takes a fraction of one

CANDIDATE = {"site": "attn.q", "stack": "encoder", "layer": 0, "module": "a.q", "delta": "bitfit", "parameters": 32}
ONE_OF_EACH = [
    Started("0123456789ab", 2, 4242, "cuda:0", "bfloat16", {"torch": "2.6.0"}),
    Data({"train": 8, "test": 1}, ["0", "1"], {"have no 'text'": 2}, ["a.csv: read as cp1252"]),
    Space([CANDIDATE], 32, 1000, 0, None),
    Phase("search", 10),
    Step("search", 1, 0.5, 1.0, 1e-3, 0.25, 0.125, 0.1, 99.5, 120.25, 96, -1.5),
    Step("retrain", 1, 0.5, 1.0, 1e-3),
    Gates(1, [0.1, 1e-12, 1.0]),
    Eval("search", 1, "validation", {"accuracy": 1 / 3}, True),
    EndedEarly("search", 1, "nothing is left to do"),
    SearchTaken("first/a", 20, 12.5),
    StructureChosen([0, 2], 96),
    Checkpoint("search", 5),
    Finished(0.5, {"accuracy": 0.5}, 12.5),
    Failed("data", 'no column "ä"\n in 雪\udcff.csv', "look\u2028again"),  # as of a file name that is no UTF-8
]


def step(number: int) -> Step:
    return Step("search", number, 1.0, 1.0, 1e-3)


def write(path: Path, *events: Event) -> None:
    writer = EventWriter(path, clock=lambda: 1.5)
    for event in events:
        writer.write(event)
    writer.close()


def steps(path: Path) -> list[tuple[int, int]]:
    return [(event.seq, event.step) for event in read_events(path)[0]]


def test_every_type_comes_back_as_it_was_written(tmp_path):
    assert {type(event) for event in ONE_OF_EACH} == set(TYPES.values())
    write(tmp_path / "events.jsonl", *ONE_OF_EACH)
    events, skipped = read_events(tmp_path / "events.jsonl")
    assert skipped == 0
    assert [(e.seq, e.t) for e in events] == [(i, 1.5) for i in range(len(ONE_OF_EACH))]
    assert [type(e)(**(vars(e) | {"seq": -1, "t": 0.0})) for e in events] == ONE_OF_EACH


@given(
    st.text(), st.lists(st.floats(0, 1)), st.floats(-1e100, 1e100), st.floats(0, 1e10), st.integers(0, 2**63 - 1)
)  # fmt: skip
def test_any_text_and_any_number_fit_into_one_line(text, p, number, t, seq):
    failed, gates = Failed("crash", text, text, seq=seq, t=t), Gates(seq, p, seq=seq, t=t)
    for event in (failed, gates, Eval("search", seq, text, {text: number}, True, seq=seq, t=t)):
        line = to_line(event, seq, t)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert from_line(line) == event


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_number_for_is_written_as_null(bad):
    lines = [
        to_line(Step("search", 1, bad, 1.0, bad), 0, 0.0),
        to_line(Gates(1, [bad, 0.5]), 0, 0.0),
        to_line(Gates(1, (bad, 0.5)), 0, 0.0),
        to_line(Eval("search", 1, "test", {"pearson": bad}, False), 0, 0.0),
    ]

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    bodies = [json.loads(line, parse_constant=refuse) for line in lines]
    assert (bodies[0]["train_loss"], bodies[0]["learning_rate"], bodies[0]["gradient_norm"]) == (None, None, 1.0)
    assert bodies[1]["p"] == bodies[2]["p"] == [None, 0.5]
    assert bodies[3]["metrics"] == {"pearson": None}


def test_a_torn_tail_is_held_until_it_is_whole(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    line = to_line(Phase("search", 10), 0, 1.0)
    for byte in range(len(line)):
        with path.open("ab") as file:
            file.write(line[byte : byte + 1])
        assert len(reader.poll()) == (byte == len(line) - 1)
    assert (reader.poll(), reader.skipped) == ([], 0)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b'{"v":1,"type":"phase","phase":"search","to{"v":1,"type":"phase","phase":"search","total":3,"seq":1,"t":1}',
        b"\0" * 4096,
        b'\0\0\0{"v":1,"type":"phase","phase":"search","total":3,"seq":1,"t":1}',
        b"\xff\xfe\x00garbage",
        b"Traceback (most recent call last):",
        b"null",
        b"7",
        b'"phase"',
        b"[]",
        b"[" * 100_000,
        b'{"v":1,"phase":"search","total":3,"seq":1,"t":1}',
        b'{"v":1,"type":"telegram","seq":1,"t":1}',
        b'{"v":1,"type":["phase"],"phase":"search","total":3,"seq":1,"t":1}',
        b'{"v":1,"type":"phase","phase":"search","seq":1,"t":1}',
        b'{"v":1,"type":"phase","phase":"search","total":3,"seq":null,"t":1}',
        b'{"v":"one","type":"phase","phase":"search","total":3,"seq":1,"t":1}',
        b'{"v":%d,"type":"phase","phase":"search","total":3,"seq":1,"t":1}' % (VERSION + 1),
    ],
    ids=lambda line: line[:40].decode("ascii", "replace").replace("\0", "0"),
)
def test_a_line_that_is_no_event_is_counted_and_the_rest_is_read(tmp_path, line):
    path = tmp_path / "events.jsonl"
    write(path, Phase("search", 10))
    with path.open("ab") as file:
        file.write(line + b"\n")
    write(path, Phase("retrain", 20))
    events, skipped = read_events(path)
    assert [event.phase for event in events] == ["search", "retrain"]
    assert skipped == 1


STEP = {"phase": "search", "step": 1, "train_loss": 0.5, "gradient_norm": 1.0, "learning_rate": 1e-3}
WRONG = {
    "a time that is a text": {"type": "step", "t": "now"} | STEP,
    "a time of no calendar": {"type": "step", "t": 1e99} | STEP,
    "a phase that is a list": {"type": "step"} | STEP | {"phase": ["search"]},
    "a step that is no number": {"type": "step"} | STEP | {"step": math.nan},
    "a step that is a boolean": {"type": "step"} | STEP | {"step": True},
    "a step that is a fraction": {"type": "step"} | STEP | {"step": 1.5},
    "a step before the first": {"type": "step"} | STEP | {"step": -1},
    "a step of 400 digits": {"type": "step"} | STEP | {"step": 10**400},
    "a loss that is infinite": {"type": "step"} | STEP | {"train_loss": math.inf},
    "a loss that is a text": {"type": "step"} | STEP | {"train_loss": "0.5"},
    "a loss of 400 digits": {"type": "step"} | STEP | {"train_loss": 10**400},
    "gates beyond 1": {"type": "gates", "step": 1, "p": [0.5, 2.0]},
    "gates below 0": {"type": "gates", "step": 1, "p": [-1, 0.5]},
    "gates that are no numbers": {"type": "gates", "step": 1, "p": [0.5, math.nan]},
    "gates that are null": {"type": "gates", "step": 1, "p": [0.5, None]},
    "a time that is null": {"type": "step", "t": None} | STEP,
    "gates that are texts": {"type": "gates", "step": 1, "p": [0.5, "0.5"]},
    "gates that are no list": {"type": "gates", "step": 1, "p": {}},
    "metrics that are a list": {"type": "finished", "score": 0.5, "metrics": [0.5], "seconds": 1.0},
    "a metric that is a text": {"type": "finished", "score": 0.5, "metrics": {"f1": "high"}, "seconds": 1.0},
    "a candidate that is a text": {
        "type": "space", "candidates": ["q"], "parameters": 1, "backbone_parameters": 1, "head_parameters": 0,
        "budget": None,
    },
    "a message that is a number": {"type": "failed", "kind": "crash", "message": 3, "hint": ""},
    "a selection of texts": {"type": "structure", "selected": ["a"], "parameters": 3},
    "a best that is a number": {
        "type": "eval", "phase": "search", "step": 1, "split": "test", "metrics": {}, "best": 1
    },
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_line_with_a_value_of_another_kind_is_counted_and_the_rest_is_read(tmp_path, what):
    path = tmp_path / "events.jsonl"
    write(path, Phase("search", 10))
    with path.open("a") as file:
        file.write(json.dumps({"v": 1, "seq": 1} | WRONG[what]) + "\n")
        file.write('{"v":1,"type":"phase","phase":"x","total":1,"seq":2,"later":' + "[" * 90_000 + "]" * 90_000 + "}\n")
    write(path, Phase("retrain", 20))
    events, skipped = read_events(path)
    assert [event.phase for event in events] == ["search", "retrain"]
    assert skipped == 2


@given(st.binary(max_size=300))
def test_no_bytes_at_all_stop_a_reader(tmp_path_factory, garbage):
    path = tmp_path_factory.mktemp("garbage") / "events.jsonl"
    path.write_bytes(garbage + b"\n")
    write(path, Phase("search", 10))
    assert read_events(path)[0][-1] == Phase("search", 10, seq=0, t=1.5)


def test_fields_that_a_later_program_added_are_dropped():
    line = b'{"v":1,"type":"phase","phase":"search","total":3,"colour":"red","seq":1,"t":2.0}'
    assert from_line(line) == Phase("search", 3, seq=1, t=2.0)


def test_blank_lines_are_no_damage(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n\n" + to_line(Phase("search", 10), 0, 1.0) + b"\r\n\n")
    assert (len(read_events(path)[0]), read_events(path)[1]) == (1, 0)


def test_a_new_attempt_closes_the_torn_line_and_counts_on(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, step(1), step(2))
    with path.open("ab") as file:
        file.write(to_line(step(3), 2, 1.0)[:-20])
    write(path, step(3))
    assert steps(path) == [(0, 1), (1, 2), (2, 3)]
    assert read_events(path)[1] == 1


def test_an_event_that_lacks_only_its_newline_keeps_its_number(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, step(1))
    with path.open("ab") as file:
        file.write(to_line(step(2), 1, 1.0)[:-1])
    write(path, step(3))
    assert steps(path) == [(0, 1), (1, 2), (2, 3)]
    assert read_events(path)[1] == 0


def test_who_wants_to_know_only_where_a_run_stands_reads_no_step_between_others(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path, every_step=False)
    told = Eval("search", 3, "validation", {"accuracy": 0.5}, True)
    tricky = Failed("crash", '{"type":"step"}', "")
    write(path, step(1), step(2), step(3), told, step(4), step(5), tricky, step(6), step(7), step(8), step(9))
    read = reader.poll()
    assert [event.step for event in read if isinstance(event, Step)] == [1, 3, 4, 5, 6, 9]
    assert [type(event) for event in read if not isinstance(event, Step)] == [Eval, Failed]
    write(path, step(10))
    assert [event.step for event in reader.poll()] == [10]


def test_a_file_that_is_not_there_yet_is_an_empty_one(tmp_path):
    reader = EventReader(tmp_path / "events.jsonl")
    assert reader.poll() == []
    write(tmp_path / "events.jsonl", step(1))
    assert len(reader.poll()) == 1
    assert read_events(tmp_path / "nowhere" / "events.jsonl") == ([], 0)


def test_files_of_the_first_version_stay_readable():
    events, skipped = read_events(ARCHIVE)
    assert skipped == 0
    assert [e.seq for e in events] == list(range(10))
    assert {type(e) for e in events} == set(TYPES.values()) - {Data, EndedEarly, SearchTaken}  # which came later
    space, searched, finished = events[1], events[3], events[8]
    assert [c["parameters"] for c in space.candidates] == [768, 384]
    assert (searched.validation_loss, searched.expected, searched.selected) == (None, 799.9996, 768)
    assert (finished.score, finished.t) == (0.625, 1732431800.0)


WRITER = """
import itertools, sys
from pathlib import Path
from core.run.events import EventWriter, Finished, Step
count = int(sys.argv[2])
writer = EventWriter(Path(sys.argv[1]))
for n in range(1, count + 1) if count else itertools.count(1):
    writer.write(Step("search", n, 1.0, 1.0, 1e-3))
writer.write(Finished(0.5, {"accuracy": 0.5}, 1.0))
"""


def start_writer(path: Path, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(count)])


def follow(path: Path, until) -> list[Event]:
    """Poll until the condition holds for what was read so far."""
    reader, events, deadline = EventReader(path), [], time.monotonic() + DEADLINE
    while not until(events):
        assert time.monotonic() < deadline, f"only {len(events)} events"
        events += reader.poll()
    assert reader.skipped == 0
    return events


def test_a_reader_follows_the_writer_of_another_process_to_the_end(tmp_path):
    path = tmp_path / "events.jsonl"
    with start_writer(path, 2000) as writer:
        events = follow(path, until=lambda events: events and isinstance(events[-1], Finished))
        assert writer.wait(DEADLINE) == 0
    assert [e.step for e in events[:-1]] == list(range(1, 2001))
    assert [e.seq for e in events] == list(range(2001))


def test_a_killed_writer_loses_no_event_and_tears_at_most_one_line(tmp_path):
    path = tmp_path / "events.jsonl"
    with start_writer(path, 0) as writer:
        seen = follow(path, until=lambda events: len(events) >= 50)
        writer.send_signal(signal.SIGKILL)
        writer.wait(DEADLINE)
    write(path, Failed("killed", "", ""))
    events, skipped = read_events(path)
    assert events[: len(seen)] == seen
    assert [e.seq for e in events] == list(range(len(events)))
    assert skipped <= 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from core.run.events import EventWriter, Failed, Phase
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
writer = EventWriter(path)
writer.write(Phase("search", 10))
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 30, resource.RLIM_INFINITY))
try:
    writer.write(Phase("retrain", 10))
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.write(Failed("crash", "the disk was full", ""))
"""


def test_after_a_full_disk_the_next_event_is_whole_again(tmp_path):
    path = tmp_path / "events.jsonl"
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], check=True, timeout=DEADLINE)
    events, skipped = read_events(path)
    assert [(e.seq, e.type) for e in events] == [(0, "phase"), (1, "failed")]
    assert skipped == 1
