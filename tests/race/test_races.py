"""Races of stand-in workers, from a suite to the answer, whatever is killed on the way."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from processes import DEADLINE, STAND_IN, SUITE, drive, kill, nothing_left, wait_until

from core.run.errors import UsageError
from core.run.limit import read_limit
from s3tui.cli.commands.race import from_data
from s3tui.runs.status import Paused, Running
from s3tui.runs.workspace import find_runs, read_run
from s3tui.scheduling.control import cancel, hold
from s3tui.scheduling.dispatcher import Settings
from s3tui.suite import race_suite

HEAD = SUITE.replace('"succeed"', '"races"').replace("budget = 4e-4\n", "budget = 4e-4\nretrain.eval_every = 10\n")
# Arms with the seed 13 diverge after the first rung.
RACE = """
[experiment.best]
race = { rungs = [10, 30, 60], keep = 0.5, confirm = 2 }
matrix = { seed = [0, 1, 13], retrain.learning_rate = [1e-3, 2e-3] }
method = "random"
"""
RANGES = """
[experiment.best]
race = { arms = 2, rungs = [10], confirm = 1, final = 1 }
matrix = { seed = [0, 1] }
retrain.learning_rate = { low = 1e-3, high = 1e-2, log = true }
method = "random"
"""
SMALL = """
[experiment.best]
race = { rungs = [10, 20], keep = 0.5, confirm = 1, final = 1 }
matrix = { seed = [0, 1, 2] }
method = "random"
"""


def shown(s3tui, tmp_path):
    """What `s3tui race show --json` says."""
    code, out, err = s3tui("race", "show", "best", "--in", tmp_path / "runs", "--json")
    assert code == 0, err
    return json.loads(out)


def ended(s3tui, tmp_path):
    """All that must be the same however a race was disturbed: arms, promotions, confirmations, the answer."""
    race = shown(s3tui, tmp_path)
    assert race["over"]
    arms = {arm["name"]: (arm["limit"], arm["scores"], arm["fate"]) for arm in race["arms"]}
    return arms, sorted(race["confirmations"]), race["answer"]


def names(workspace, file="result.json"):
    return {run.name.partition("/")[2] for run in find_runs(workspace.path) if (run.directory.path / file).exists()}


def test_a_race_ends_with_an_answer_and_tests_only_what_it_confirms(run, s3tui, workspace, tmp_path):
    code, out, err = run(RACE, head=HEAD)
    assert code == 0, err
    # Ranks change with each arm that arrives; what becomes of an arm is said once for each rung.
    said = [line.rpartition(",")[0] for line in err.splitlines() if line.split(": ")[1:2] == ["paused"]]
    assert len(said) == len(set(said)) > 0
    lines = out[out.index("Train ") :].splitlines()
    heads = ("Train ", "Runner-up ", "Fewest parameters within noise: ", "Compute: ", "Next: s3tui export ")
    assert [line for line in lines if line.startswith(heads)] == [*lines[:4], lines[-1]]
    assert "accuracy" in lines[0]
    assert "attn.q lora(rank=1)" in out
    race = shown(s3tui, tmp_path)
    # Of six arms three go on, of which those with the seed 13 are lost; two are in the final.
    assert sorted(arm["limit"] for arm in race["arms"])[:3] == [10, 10, 10]
    assert race["answer"]["ranking"][0]["arm"] in race["finalists"]
    assert {len(race["finalists"]), race["answer"]["ranking"][0]["seeds"]} == {2}
    assert {f"first/{name}" for name in names(workspace)} == set(race["confirmations"])
    code, out, _ = s3tui("race", "show", "best", "--in", tmp_path / "runs")
    assert code == 0
    assert out.count("dropped") + out.count("lost") + out.count("final") >= 6
    assert out.count("lost: diverged: the loss is nan") == 1


def test_arms_that_differ_in_a_rate_share_one_search_and_a_budget_counts_it_once(run, s3tui, tmp_path):
    rates = "matrix = { retrain.learning_rate = [1e-3, 2e-3, 3e-3] }\nsearch.max_steps = 20\n"
    exact = 20 + 3 * 10 + 10 + 20  # the search, three arms to the first rung, one to the second, the confirmation
    table = "race = {{ rungs = [10, 20], keep = 0.4, confirm = 1, final = 1, budget = {} }}\n"
    code, _, err = run(f"[experiment.best]\n{table.format(exact - 11)}{rates}", head=HEAD)
    assert (code, f"3 arms up to step 10 and the confirmations take {exact - 10} steps" in err) == (2, True)
    code, _, err = run(f"[experiment.best]\n{table.format(exact)}{rates}", head=HEAD)
    assert code == 0, err
    race = shown(s3tui, tmp_path)
    arms = [(arm["steps"] - arm["limit"], arm["fate"]) for arm in race["arms"]]
    assert [steps for steps, _ in arms] == [20, 0, 0]
    assert [fate for _, fate in arms].count("final") == 1
    assert race["steps"] == exact
    # Its report draws what they share once; arms are no runs that lack a result, confirmations no transfers.
    code, _, err = s3tui("report", "suite.toml", "-o", "report.md")
    assert code == 0, err
    heads = [line.lstrip("# ") for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("#")]
    names = [name.replace("\\", "") for name in heads if name.startswith("best/")]
    assert names == [", ".join(f"best/retrain.learning_rate=0.00{i}" for i in (1, 2, 3))]
    assert not {"Transfer", "Runs without a result"} & set(heads)


def test_a_data_file_becomes_a_race_and_the_same_command_again_goes_on_with_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = race_suite.TEXT.replace("[100, 300, 900]", "[10, 20]").replace(
        "confirm = 3, final = 2", "confirm = 1, final = 1"
    )
    short = short.replace("[5e-3, 1e-2]", "[1e-3]").replace(
        'scored = {{ method = "saliency", saliency.criterion = "fisher" }}', ""
    )
    monkeypatch.setattr(race_suite, "TEXT", short.replace("eval_every = 50", "eval_every = 10"))
    Path("films.csv").write_text("title,stars\n" + "a good film,1\na bad film,0\n" * 20)
    settings = Settings(STAND_IN, backoff=0.1)

    def race():
        return from_data(Path("films.csv"), ["title"], "stars", "0.04%", None, "races", None, False, settings)

    with nothing_left(tmp_path / "runs"):
        assert race() == 0
        out, err = capsys.readouterr()
        assert out.startswith("films.csv: text in title; label in stars\n")
        assert "Train variant=" in out
        assert "wrote films-race.toml; the same command, or s3tui run films-race.toml, goes on with the race" in err
        before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("events.jsonl")}
        assert race() == 0
    assert "Train variant=" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in Path("runs").rglob("events.jsonl")}
    Path("films-race.toml").write_text(Path("films-race.toml").read_text() + "# mine\n")
    with pytest.raises(
        UsageError, match=r"films-race\.toml exists already: s3tui run films-race\.toml goes on with it"
    ):
        race()


def test_the_same_command_again_repeats_nothing_and_fresh_begins_anew(run, s3tui, workspace, tmp_path):
    run(SMALL, head=HEAD)
    before = {path: path.stat().st_mtime_ns for path in workspace.path.rglob("events.jsonl")}
    arms = [found for found in find_runs(workspace.path) if found.directory.limit.exists()]
    assert sorted(found.status.note for found in arms if isinstance(found.status, Paused)) == [
        "a finalist at step 20 of 20, 1st of 1",
        "dropped at step 10 of 20, 2nd of 3",
        "dropped at step 10 of 20, 3rd of 3",
    ]
    code, out, _ = run(SMALL, head=HEAD)
    assert code == 0
    assert "Train " in out
    assert before == {path: path.stat().st_mtime_ns for path in workspace.path.rglob("events.jsonl")}
    first = ended(s3tui, tmp_path)
    run(SMALL, "--fresh", head=HEAD)
    assert all(path.stat().st_mtime_ns != changed for path, changed in before.items())
    assert ended(s3tui, tmp_path) == first


def test_a_race_killed_anywhere_ends_as_if_nothing_had_happened(suite, s3tui, workspace, tmp_path):
    file = suite(RACE, HEAD)
    process = drive(file)
    process.communicate(timeout=DEADLINE)
    reference = ended(s3tui, tmp_path)
    process = drive(file, "--fresh", env=os.environ | {"STAND_IN_STEP_SECONDS": "0.01"})
    place = random.Random(3)
    for _ in range(20):
        time.sleep(place.uniform(0.1, 0.6))  # no synchronisation: any moment will do
        alive = [run for run in find_runs(workspace.path) if isinstance(run.status, Running)]
        running = {run.name: run.status.process for run in alive if run.status.process is not None}
        if place.random() < 0.4:
            process.kill()
            process.communicate(timeout=DEADLINE)
            process = drive(file, env=os.environ | {"STAND_IN_STEP_SECONDS": "0.01"})
        elif running:
            one = running[place.choice(sorted(running))]
            kill(place.choice([one.worker.pid, one.supervisor.pid]), signal.SIGKILL)
        if process.poll() is not None:
            process.communicate(timeout=DEADLINE)
            process = drive(file, env=os.environ | {"STAND_IN_STEP_SECONDS": "0.01"})
    process.communicate(timeout=DEADLINE)
    drive(file).communicate(timeout=DEADLINE)
    assert ended(s3tui, tmp_path) == reference


def test_a_stopped_arm_halts_the_race_until_it_is_resumed(suite, s3tui, workspace, tmp_path):
    file = suite(SMALL, HEAD)
    first = workspace.run("first/best/seed=0")
    process = drive(file, env=os.environ | {"STAND_IN_STEP_SECONDS": "0.2"})
    wait_until(lambda: first.events.exists())
    hold(workspace, read_run(first, "first/best/seed=0"), at_once=True)
    out, err = process.communicate(timeout=DEADLINE)
    assert "waits for what was stopped: best/seed=0" in out, err
    assert shown(s3tui, tmp_path)["halted"] == ["best/seed=0"]
    out = s3tui("race", "show", "best", "--in", tmp_path / "runs")[1]
    assert "stopped" in {line.split()[-1] for line in out.splitlines()[1:4]}
    assert "\nCompute so far: " in out
    assert {read_limit(run.directory).steps for run in find_runs(workspace.path)} == {10}
    process = drive(file)
    assert "Train " in process.communicate(timeout=DEADLINE)[0]


def test_a_cancelled_arm_is_dropped(suite, s3tui, workspace, tmp_path):
    file = suite(SMALL, HEAD)
    process = drive(file, env=os.environ | {"STAND_IN_STEP_SECONDS": "0.1"})
    first = workspace.run("first/best/seed=0")
    wait_until(lambda: first.events.exists())
    cancel(workspace, read_run(first, "first/best/seed=0"))
    out, _ = process.communicate(timeout=DEADLINE)
    assert "1 failed or were cancelled" in out
    fates = {arm["name"]: arm["fate"] for arm in shown(s3tui, tmp_path)["arms"]}
    assert fates["best/seed=0"] == "lost"
    assert sorted(fates.values()) == ["dropped", "final", "lost"]


def test_some_arms_of_a_race_alone_are_refused(run):
    code, _, err = run(SMALL, "best/seed=0", head=HEAD)
    assert code == 2
    assert err == "s3tui: only some arms of the race best are chosen: --only=best takes all of them\n"


def test_a_detached_dispatcher_sees_a_race_through(suite, s3tui, workspace, tmp_path):
    drive(suite(SMALL, HEAD), "--detach").communicate(timeout=DEADLINE)
    wait_until(lambda: shown(s3tui, tmp_path)["over"])
    assert shown(s3tui, tmp_path)["answer"]["ranking"]


def goes_to(directory):
    """The step up to which an arm may go; 0 while it is being made."""
    limit = read_limit(directory)
    return limit.steps if limit else 0


def by_hand(s3tui, tmp_path, *words):
    """What a command that decides by hand prints with --json."""
    code, out, err = s3tui("race", *words, "--in", tmp_path / "runs", "--json")
    assert code == 0, err
    return json.loads(out)


def test_an_arm_dropped_by_hand_stops_and_leaves_the_race(suite, s3tui, workspace, tmp_path):
    file = suite(SMALL, HEAD)
    process = drive(file, env=os.environ | {"STAND_IN_STEP_SECONDS": "0.2"})
    wait_until(lambda: workspace.run("first/best/seed=0").events.exists())
    done = by_hand(s3tui, tmp_path, "drop", "best", "seed=0")
    assert done == {"race": "first/best", "done": "", "runs": [{"name": "first/best/seed=0", "done": "dropped"}]}
    assert "Train " in process.communicate(timeout=DEADLINE)[0]
    first = next(arm for arm in shown(s3tui, tmp_path)["arms"] if arm["name"] == "best/seed=0")
    assert (first["fate"], first["dropped_by_hand"], first["limit"]) == ("dropped", True, 10)
    assert read_run(workspace.run("first/best/seed=0"), "x").status.note == "dropped by hand"


def test_what_is_decided_after_the_end_is_refused_or_goes_on(run, s3tui, tmp_path):
    run(SMALL, head=HEAD)
    place, over = ("--in", tmp_path / "runs"), "s3tui: the race first/best is over: "
    assert s3tui("race", "end", "best", "--yes", *place)[2] == f"{over}s3tui race show prints its answer\n"
    assert s3tui("race", "drop", "best", "0", *place)[2] == f"{over}s3tui run FILE --fresh begins it anew\n"
    err = s3tui("race", "add", "best", "1", *place)[2]
    assert err.startswith("s3tui: the arms of first/best are a fixed list, as it has no ranges: ")
    code, _, err = s3tui("race", "keep", "best", "seed=", *place)
    assert code == 2
    assert err.startswith("s3tui: 3 arms are called 'seed=' in the race first/best")
    # An arm that was dropped goes on once it is kept, and is confirmed beside the other.
    dropped = [arm["name"] for arm in shown(s3tui, tmp_path)["arms"] if arm["fate"] == "dropped"]
    by_hand(s3tui, tmp_path, "keep", "first/best", dropped[0])
    assert not shown(s3tui, tmp_path)["over"]
    run(SMALL, head=HEAD)
    race = shown(s3tui, tmp_path)
    assert (race["over"], dropped[0] in race["finalists"], len(race["answer"]["ranking"])) == (True, True, 2)


def test_a_race_ended_by_hand_confirms_what_there_is(suite, s3tui, workspace, tmp_path):
    file = suite(SMALL.replace("[10, 20]", "[10, 1500]"), HEAD)
    process = drive(file, env=os.environ | {"STAND_IN_STEP_SECONDS": "0.08"})
    wait_until(lambda: any(goes_to(run.directory) == 1500 for run in find_runs(workspace.path)))
    assert s3tui("race", "end", "best", "--in", tmp_path / "runs")[0] == 2  # nobody can be asked
    assert by_hand(s3tui, tmp_path, "end", "best", "--yes")["done"] == "ended"
    process.kill()
    process.communicate(timeout=DEADLINE)
    # Whoever dispatches next carries it out.
    out, err = drive(file).communicate(timeout=DEADLINE)
    assert "; it was ended by hand" in out, err
    race = shown(s3tui, tmp_path)
    assert (race["over"], race["ended_by_hand"], len(race["finalists"])) == (True, True, 1)
    assert not any("1500" in arm["scores"] for arm in race["arms"])


def test_arms_that_are_added_race_with_the_others(run, s3tui, workspace, tmp_path):
    pytest.importorskip("optuna")
    run(RANGES, head=HEAD)
    before = [arm["name"] for arm in shown(s3tui, tmp_path)["arms"]]
    done = by_hand(s3tui, tmp_path, "add", "best", "2")
    added = [one["name"].partition("/")[2] for one in done["runs"]]
    code, _, err = run(RANGES, head=HEAD)
    assert code == 0, err
    race = shown(s3tui, tmp_path)
    assert race["over"]
    assert {arm["name"] for arm in race["arms"]} == {*before, *added}
    assert all(arm["scores"] for arm in race["arms"])
    assert [name.partition(",")[0] for name in added] == ["best/seed=0", "best/seed=1"]
