"""One bad file damages its own run: every command names it in a line, and goes on with the others."""

import json
import os

import pytest
from hostile_runs import BAD, GOOD, JOBS, Hostile

from s3tui.runs.lookup import find_names
from s3tui.runs.records.queue import Queue


@pytest.fixture
def there(tmp_path):
    made = Hostile(tmp_path)
    made.renew()
    return made


DAMAGES = [
    ("result.json", ..., "[" * 100_000, "result.json cannot be read: it is nested more than 64 deep"),
    ("result.json", "parameters", "Infinity", "result.json cannot be read: Infinity is no number of JSON"),
    ("result.json", "parameters", "1e999", "result.json cannot be read: 1e999 is too large a number"),
    ("result.json", "parameters", "9" * 400, "result.json cannot be read: 99999999999999999999... is a number beyond"),
    ("result.json", "score", '"high"', "result.json is damaged: score should be a number, not 'high'"),
    ("exit.json", "peak_memory_bytes", "Infinity", "exit.json cannot be read: Infinity is no number of JSON"),
    ("exit.json", "seconds", "9" * 400, "exit.json cannot be read: 99999999999999999999... is a number beyond"),
    ("exit.json", "out_of_memory", '"false"', "exit.json is damaged: out_of_memory should be true or false"),
    ("summary.json", "step", "NaN", "summary.json cannot be read: NaN is no number of JSON"),
    ("summary.json", "score", "Infinity", "summary.json cannot be read: Infinity is no number of JSON"),
    ("summary.json", "step", "1.5", "summary.json is damaged: step should be a whole number of 0 or more, not 1.5"),
    ("spec.json", "seed", '"0"', "spec.json is damaged: seed should be a whole number of 0 or more, not '0'"),
    ("spec.json", "space", "[]", "spec.json is damaged: space should be an object, not an empty list"),
    ("queue.json", "priority", "true", "queue.json is damaged: priority should be a whole number, not true"),
    ("spec.json", ..., '{"seed": 0, "seed": 1}', "spec.json cannot be read: the key 'seed' stands twice in one object"),
    ("process.json", "worker", "3", "process.json is damaged: worker should be an object, not 3"),
]


@pytest.mark.parametrize(("name", "key", "value", "said"), DAMAGES)
def test_a_damaged_record_is_named_by_every_command_and_stops_none(there, name, key, value, said):
    if name != "result.json":
        there.bad.result.unlink()
    there.put(name, () if key is ... else (key,), value)
    rows = {row["name"]: row for row in json.loads(there.on("list", "--json")[1])["runs"]}
    assert (rows[GOOD]["status"], rows[BAD]["status"]) == ("finished", "damaged")
    assert said in rows[BAD]["note"]
    suites = json.loads(there.on("status", "--json")[1])["suites"]
    assert (suites[0]["finished"], suites[0]["damaged"]) == (1, 1)
    assert said in there.on("show", BAD)[1]
    code, out, err = there.run("results", str(there.workspace.path))
    assert code == 0
    assert "good" in out
    assert said in err
    for kind in ("loss", "pareto"):
        assert there.on("plot", BAD, GOOD, "--kind", kind)[0] == 0
    report = there.outputs / "report.md"
    assert there.run("report", str(there.workspace.path), "--output", str(report))[0] == 0
    assert said.split(":")[0] in report.read_text()


@pytest.mark.parametrize("id", ["--full", "17_3 18", "17_[0-9]", "17_3\n", "٣", "1" * 250])
@pytest.mark.parametrize("name", JOBS)
def test_what_is_no_id_of_a_job_is_never_an_argument_of_slurm(there, id, name, tmp_path, monkeypatch):
    for program in ("scancel", "scontrol", "squeue", "sacct"):
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" {program} "$@" >> {tmp_path}/asked\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    there.renew(finished=False, job=name)
    there.put(name, ("id",), json.dumps(id))
    assert f"{name} is damaged: id should be the id of a job, as 17_3, not" in there.on("show", BAD)[1]
    for command in ("stop", "cancel", "resume", "retry"):
        there.on(command, BAD)
    assert there.on("rm", BAD, "--yes")[0] == 0
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("name", ["exit.json", "process.json"])
def test_what_a_report_cannot_tell_of_a_finished_run_is_said_in_it(there, name):
    there.put(name, ("worker",), "[]")
    report = there.outputs / "report.md"
    assert there.run("report", str(there.workspace.path), "--output", str(report))[0] == 0
    assert f"{name} is damaged: worker should be an object, not an empty list" in report.read_text()
    assert "2 of 2 runs are finished" in report.read_text()


def test_events_of_other_kinds_are_left_out_of_pictures_and_reports(there):
    step = next(i for i, line in enumerate(there.lines) if line["type"] == "step")
    for key, value in (("t", '"now"'), ("phase", "[]"), ("step", "NaN"), ("step", "9" * 4000), ("train_loss", "1e308")):
        there.put_event(step, (key,), value)
        for kind in ("loss", "budget", "gates"):
            assert there.on("plot", BAD, GOOD, "--kind", kind)[0] == 0
        told = there.on("events", BAD, "--json")[1].splitlines()
        assert len(told) == len(there.lines) - 1


def test_a_structure_that_is_damaged_is_left_out_of_a_picture_and_named(there):
    there.put("structure.json", ("candidates", 0, "p"), "2")
    code, _, err = there.on("plot", BAD, GOOD, "--kind", "structure")
    assert code == 0
    assert f"{BAD}: its structure is left out: {there.bad.structure}: the structure file is damaged" in err


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("candidates", 0, "selected"), '"false"', "candidates[0].selected should be true or false, not 'false'"),
        (("candidates", 1, "p"), "-1", "candidates[1].p should be a number from 0 to 1, not -1"),
        (("candidates", 1, "parameters"), "-3", "candidates[1].parameters should be a whole number of 1 or more"),
        (("budget",), '"100"', "budget should be a whole number of 0 or more, not '100'"),
        (("candidates", 0, "p"), "NaN", "NaN is no number of JSON"),
    ],
)
def test_a_wrong_structure_is_one_line_with_the_file_and_what_is_wrong(there, tmp_path, path, value, said):
    there.put("structure.json", path, value)
    file = tmp_path / "mine.json"
    file.write_bytes(there.bad.structure.read_bytes())
    for command in (("show", BAD), ("diff", GOOD, BAD), ("agreement", GOOD, BAD), ("convert", BAD)):
        code, _, err = there.on("structure", *command)
        assert (code, err.count("\n")) == (2, 1)
        assert f"{there.bad.structure}" in err
        assert said in err
    code, _, err = there.on("structure", "show", str(file))
    assert (code, err.count("\n")) == (2, 1)
    assert str(file) in err


@pytest.mark.parametrize("name", ["result.json", "exit.json", "summary.json", "process.json"])
def test_a_record_of_wrong_kinds_that_can_be_made_anew_is_no_obstacle_to_another_try(there, name):
    if name != "result.json":
        there.bad.result.unlink()
    there.put(name, (next(iter(there.documents[name])),), "[]") if name != "process.json" else there.put(name, (), "{}")
    if name in ("exit.json", "summary.json"):
        there.put(name, ("seconds",), "[]")
    assert json.loads(there.on("list", BAD, "--json")[1])["runs"][0]["status"] == "damaged"
    assert there.on("retry", BAD)[0] == 0
    assert json.loads(there.on("list", BAD, "--json")[1])["runs"][0]["status"] == "queued"


def test_nothing_is_written_into_a_queue_that_could_not_be_read_back(there):
    before = there.workspace.run(GOOD).queue.read_bytes()
    there.bad.result.unlink()
    there.put("queue.json", (), json.dumps(Queue(wanted="held").to_json()))
    code, _, err = there.on("priority", BAD, str(2**70))
    assert code == 2
    assert "PRIORITY" in err
    assert json.loads(there.bad.queue.read_bytes())["priority"] == 0
    assert there.workspace.run(GOOD).queue.read_bytes() == before
    assert find_names(["bad"], there.workspace.names()) == [BAD]
