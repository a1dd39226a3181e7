"""Whatever stands in the files of one run: no command ends in a traceback, and the other runs are shown as ever."""

import json
import os
import re
import time
from dataclasses import fields

import pytest
from hostile import hostile
from hostile_runs import BAD, CONTENTS, GOOD, JOBS, KINDS, Hostile, places, values, with_value
from hypothesis import given
from hypothesis import strategies as st

from core.run.events import from_line
from core.run.fields import read
from core.run.verdict import MEANINGS
from s3tui.listing.run_row import Line, line_of
from s3tui.runs.history import History
from s3tui.runs.index import Board
from s3tui.runs.status import STATES, Damaged
from s3tui.runs.workspace import read_run
from s3tui.scheduling.dispatcher import Dispatcher, Settings
from s3tui.scheduling.dispatcher_lock import dispatching
from s3tui.tui.feed import Feed

DEADLINE = 60.0
RECORDS = ("spec.json", "queue.json", "process.json", "exit.json", *JOBS, "result.json", "summary.json")


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    return Hostile(tmp_path_factory.mktemp("hostile"))


def documents(there):
    return [(name, path) for name, document in there.documents.items() for path in places(document)]


COMMANDS = (
    ("status",), ("status", "--json"), ("list",), ("list", "--csv"), ("list", "status:finished", "score>0.1"),
    ("list", "--sort", "-budget"), ("list", "--group", "method"), ("list", "--group", "search.max_steps", "--json"),
    ("show", BAD), ("show", BAD, "--json"), ("events", BAD), ("events", BAD, "--json"), ("logs", BAD), ("path", BAD),
    ("structure", "show", BAD), ("structure", "show", BAD, "--json"), ("structure", "diff", BAD, GOOD),
    ("structure", "agreement", BAD, GOOD), ("structure", "mean", GOOD, BAD), ("structure", "random", "--like", BAD),
    ("structure", "convert", BAD), ("structure", "diff", GOOD, BAD, "--json"),
    *(("plot", BAD, GOOD, "--kind", kind) for kind in ("structure", "gates", "loss", "budget", "pareto", "transfer")),
)  # fmt: skip
OF_A_FOLDER = (("results",), ("results", "--json"), ("results", "--csv"))
# With a job these wait for Slurm, which is not there.
STEERING = (
    ("stop", BAD), ("pause", BAD), ("resume", BAD), ("retry", BAD), ("cancel", BAD), ("priority", BAD, "3"), ("gc",),
    ("rm", BAD, "--yes"),
)  # fmt: skip


def a_command(there, draw):
    """Run one, on the workspace or on its folder."""
    steering = () if any((there.bad.path / name).exists() for name in JOBS) else STEERING
    command = draw(st.sampled_from((*COMMANDS, *OF_A_FOLDER, *steering)))
    if command in OF_A_FOLDER:
        return there.run(command[0], str(there.workspace.path), *command[1:])
    return there.on(*command)


def assert_that_both_are_listed(there):
    """The healthy run as ever; the other with values of the right kinds, or as damaged, with the file."""
    _, out, _ = there.on("list", "--json")
    rows = {row["name"]: row for row in json.loads(out)["runs"]}
    assert (rows[GOOD]["status"], rows[GOOD]["score"], rows[GOOD]["parameters"]) == ("finished", 0.7, 90)
    assert rows[BAD]["status"] in STATES
    assert rows[BAD]["status"] != "damaged" or any(name in rows[BAD]["note"] for name in RECORDS)
    assert rows[BAD]["verdict"] in {None, *MEANINGS}
    read(Line, rows[BAD] | {"verdict": None})  # a line has the verdict itself, the row its word


def test_no_value_in_any_field_of_any_record_passes_for_what_it_is_not(there):
    for name in RECORDS:
        there.renew(finished=name == "result.json", job=name if name in JOBS else "")  # where the file is looked at
        for path in places(there.documents[name]):
            for value in KINDS:
                there.put(name, path, value)
                found = read_run(there.bad, BAD)
                if isinstance(found.status, Damaged):
                    assert name in found.status.problem
                line = line_of(found, {})
                read(Line, {field.name: getattr(line, field.name) for field in fields(Line)})


def replace_by(path, kind):
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "endless" else path.name)


@pytest.mark.parametrize("name", [name for name in RECORDS if name not in JOBS])
@pytest.mark.parametrize("kind", [*CONTENTS, "folder", "pipe", "endless", "loop"])
def test_a_file_that_is_no_record_is_named_and_everything_else_goes_on(there, name, kind):
    if kind == b"{}" and name in ("spec.json", "summary.json"):
        pytest.skip("nothing in them has to be there")
    there.renew(finished=name == "result.json")
    path = there.bad.path / name
    if isinstance(kind, bytes):
        path.write_bytes(kind)
    else:
        replace_by(path, kind)
    found = read_run(there.bad, BAD)
    assert isinstance(found.status, Damaged)
    assert str(path) in found.status.problem


@pytest.mark.parametrize("name", ["events.jsonl", "log.txt", "structure.json", "heartbeat"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "endless", "loop"])
def test_what_is_no_plain_file_holds_up_nobody(there, name, kind):
    there.renew(finished=False)
    replace_by(there.bad.path / name, kind)
    kinds = (("plot", BAD, GOOD, "--kind", "loss"), ("plot", BAD, GOOD, "--kind", "structure"))
    for command in (("status",), ("show", BAD), ("events", BAD), ("logs", BAD), ("structure", "show", BAD), *kinds):
        there.on(*command)
    assert_that_both_are_listed(there)


@hostile(100)
@given(data=st.data())
def test_no_record_stops_a_command(there, data):
    name, path = data.draw(st.sampled_from(documents(there)))
    there.renew(finished=data.draw(st.booleans()), job=data.draw(st.sampled_from(["", *JOBS])))
    there.put(name, path, data.draw(values))
    a_command(there, data.draw)
    if there.bad.path.exists():
        assert_that_both_are_listed(there)


@hostile(100)
@given(data=st.data())
def test_no_event_stops_a_command(there, data):
    number = data.draw(st.integers(0, len(there.lines) - 1))
    there.renew(finished=data.draw(st.booleans()))
    there.put_event(number, data.draw(st.sampled_from(list(places(there.lines[number])))), data.draw(values))
    a_command(there, data.draw)
    if there.bad.path.exists():
        assert_that_both_are_listed(there)


def test_no_value_in_any_field_of_any_event_stops_whoever_takes_it_in(there):
    sound = [from_line(json.dumps(line).encode()) for line in there.lines]
    last_of_type = {line["type"]: number for number, line in enumerate(there.lines)}
    for number, path in ((at, path) for at in last_of_type.values() for path in places(there.lines[at])):
        for value in KINDS:
            event = from_line(with_value(there.lines[number], path, value).encode())
            history = History()
            for told in (*sound[:number], event, *sound[number + 1 :]):
                if told is not None:
                    history.add(told)
            history.view()


@hostile(4)
@given(data=st.data(), form=st.sampled_from(["report.md", "report.html"]))
def test_no_record_and_no_event_stops_a_report(there, data, form):
    name, path = data.draw(st.sampled_from(documents(there)))
    there.renew(finished=data.draw(st.booleans()))
    there.put(name, path, data.draw(values))
    number = data.draw(st.integers(0, len(there.lines) - 1))
    there.put_event(number, data.draw(st.sampled_from(list(places(there.lines[number])))), data.draw(values))
    code, _, err = there.run("report", str(there.workspace.path), "--output", str(there.outputs / form))
    assert code == 0, err
    assert "good" in (there.outputs / form).read_text()


@hostile(40)
@given(data=st.data())
def test_no_record_and_no_event_stops_the_dispatcher(there, data):
    name, path = data.draw(st.sampled_from(documents(there)))
    there.renew(finished=data.draw(st.booleans()), job=data.draw(st.sampled_from(["", *JOBS])))
    there.put(name, path, data.draw(values))
    number = data.draw(st.integers(0, len(there.lines) - 1))
    there.put_event(number, data.draw(st.sampled_from(list(places(there.lines[number])))), data.draw(values))
    with dispatching(there.workspace) as may:
        assert may
        dispatcher = Dispatcher(Board(there.workspace), Settings(("false",)), lambda: [])
        for _ in range(2):
            dispatcher.tick()
            assert not dispatcher.trouble or re.search("squeue|no launcher called", dispatcher.trouble)
    assert dispatcher.board.runs.keys() == {GOOD, BAD}
    assert_that_both_are_listed(there)


@hostile(25)
@given(data=st.data())
def test_no_record_and_no_event_stops_the_feed_of_the_app(there, data):
    name, path = data.draw(st.sampled_from(documents(there)))
    there.renew(finished=data.draw(st.booleans()), job=data.draw(st.sampled_from(["", *JOBS])))
    there.put(name, path, data.draw(values))
    number = data.draw(st.integers(0, len(there.lines) - 1))
    there.put_event(number, data.draw(st.sampled_from(list(places(there.lines[number])))), data.draw(values))
    snapshots, broken = [], []
    with dispatching(there.workspace):  # so that the feed only watches, and nothing is started when it closes
        feed = Feed(there.workspace, snapshots.append, broken.append)
        feed.watch([GOOD, BAD])
        feed.start()
        deadline = time.monotonic() + DEADLINE
        while not broken and not is_shown(snapshots):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        feed.close()
    assert not broken, broken
    latest = snapshots[-1]
    assert latest.lines[GOOD].status == "finished"
    assert latest.details[GOOD].history.selected == (1, 3)
    for story in latest.details.values():
        assert story.loaded


def is_shown(snapshots):
    return bool(snapshots) and all(name in snapshots[-1].details for name in (GOOD, BAD))


@hostile(60)
@given(data=st.data())
def test_no_file_of_the_workspace_itself_stops_a_command(there, data):
    there.renew()
    value = data.draw(values)
    shared = {
        "waiting.json": f'{{"{BAD}": {value}}}',
        "dispatcher.lock": f'{{"pid": 3, "host": "h", "since": {value}}}',
    }
    name = data.draw(st.sampled_from(sorted(shared)))
    with dispatching(there.workspace):
        (there.workspace.shared / name).write_text(data.draw(st.sampled_from([shared[name], value])))
        there.on("status")
        assert_that_both_are_listed(there)
    (there.workspace.shared / name).unlink()
