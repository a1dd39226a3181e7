"""Races in suites: what is planned, and what is said of one that cannot be."""

import json
import math
import subprocess
import sys

import pytest

from core.run.errors import RunDirError
from core.run.rundir import read_json
from s3tui.race.record import read_race, write_race
from s3tui.suite.load import load
from s3tui.suite.race_suite import budget_of, suite_text
from s3tui.suite.race_table import seconds_of
from s3tui.suite.ranges import Tried, as_keys, as_text, draw, of_text
from s3tui.text.problems import ConfigError

BASE = """
[defaults]
model = "builtin:minilm"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
retrain = { max_steps = 77, batch_size = 8, eval_every = 50 }
"""
RACE = "race = { rungs = [100, 300] }\nmatrix = { seed = [0, 1] }\n"


@pytest.fixture
def read(tmp_path):
    def from_text(experiment, head=BASE):
        (tmp_path / "s.toml").write_text(f"{head}[experiment.best]\n{experiment}")
        return load(tmp_path / "s.toml")

    return from_text


@pytest.fixture
def problems(read, tmp_path):
    def of(experiment, head=BASE):
        with pytest.raises(ConfigError) as caught:
            read(experiment, head)
        return [line.removeprefix(f"{tmp_path / 's.toml'}: ") for line in caught.value.problems]

    return of


def test_the_arms_are_the_matrix_as_long_as_the_last_rung(read):
    suite = read(RACE)
    assert [run.name for run in suite.runs] == ["best/seed=0", "best/seed=1"]
    assert {(run.spec.retrain.max_steps, run.spec.retrain.batch_size) for run in suite.runs} == {(300, 8)}
    record = suite.races["best"]
    assert (record.arms, record.seeds, record.rules.budget_steps) == (("best/seed=0", "best/seed=1"), (2, 3, 4), None)
    assert (
        read("race = { rungs = [100], budget = '1h30m' }\nmatrix = { seed = [0, 1] }\n")
        .races["best"]
        .rules.budget_seconds
        == 5400
    )


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        ("race = 3", "experiment.best.race: should be a table, as in { arms = 24, rungs = [100, 300, 900] }"),
        (
            "race = { keep = 0.5 }",
            "experiment.best.race.rungs: missing; name the steps at which arms are compared, as in [100, 300, 900]",
        ),
        (
            "race = { rungs = [300, 100] }",
            "experiment.best.race.rungs: should be a list of rising whole numbers of steps, as in [100, 300, 900]",
        ),
        ("race = { rungs = [50], runs = 2 }", "experiment.best.race.runs: unknown key, did you mean 'rungs'?"),
        (
            "race = { rungs = [50], keep = 1.5 }",
            "experiment.best.race.keep: should be the share of arms that go on from each rung, above 0 and below 1, "
            "as in 0.34",
        ),
        (
            "race = { rungs = [50], confirm = 0 }",
            "experiment.best.race.confirm: should be a whole number from 1 to 100",
        ),
        (
            "race = { rungs = [50], budget = '2 hours' }",
            'experiment.best.race.budget: should be a number of steps, or a time in quotes as in "2h" or "1h30m"',
        ),
        (
            "race = { rungs = [50] }",
            "experiment.best.race: a race needs two arms or more: give a matrix, or ranges and arms",
        ),
        (
            RACE.replace("100", "75"),
            "experiment.best.race.rungs: there is no evaluation at step 75, as retrain.eval_every is 50; set that to a "
            "number of which all rungs are multiples",
        ),
        (
            RACE + "retrain.epochs = 2\n",
            "experiment.best.retrain.epochs: the last of race.rungs is the length: leave this out",
        ),
        (
            RACE.replace("rungs", "arms = 3, rungs"),
            "experiment.best.race.arms: the matrix gives 2 arms: leave this out, or add a range",
        ),
        (
            RACE + "retrain.learning_rate = { low = 1e-3, high = 1e-2 }\n",
            "experiment.best.race.arms: should say how many arms are drawn, 2 or more: as many as the matrix has "
            "combinations",
        ),
        (
            RACE + "retrain.learning_rate = { low = 1e-2, high = 1e-3 }\n",
            "experiment.best.retrain.learning_rate: should be a range with low below high, as in "
            "{ low = 1e-3, high = 1e-2, log = true } or { choice = [1, 2] }",
        ),
        (
            RACE + "seed = { lo = 1, high = 3 }\n",
            "experiment.best.seed: should be a range, as in { low = 1e-3, high = 1e-2, log = true } or "
            "{ choice = [1, 2] }",
        ),
        (
            RACE.replace("[100, 300]", "[100, 300], budget = 900"),
            "experiment.best.race.budget: is in steps, so searches must be too: give search.max_steps, or a time",
        ),
        (
            RACE.replace("[100, 300]", "[100, 300], budget = 900") + "method = 'random'\n",
            "experiment.best.race.budget: 2 arms up to step 100 and the confirmations take 2,000 steps",
        ),
    ],
)  # fmt: skip
def test_a_race_that_cannot_be_is_refused_with_its_key(problems, experiment, said):
    assert said in problems(experiment)


def test_a_race_of_the_defaults_and_a_range_without_a_race_are_refused(problems):
    assert any(
        "defaults.race: unknown key" in line
        for line in problems("", BASE.replace("[defaults]", "[defaults]\nrace = 1"))
    )
    [said] = problems("retrain.learning_rate = { low = 1e-3, high = 1e-2 }\n")
    assert said == "experiment.best.retrain.learning_rate: should be a number, not a table"


def test_times():
    assert [seconds_of(text) for text in ("2h", "90m", "1h30m", "45s", "", "h", "2d", "-1h")] == [
        7200, 5400, 5400, 45, None, None, None, None,
    ]  # fmt: skip


def test_the_suite_that_is_written_for_a_data_file_is_a_race(tmp_path):
    (tmp_path / "reviews.csv").write_text("title,stars\n" + "a good film,1\na bad film,0\n" * 20)
    keys = {"path": str(tmp_path / "reviews.csv"), "text": ["title"], "label": "stars"}
    file = tmp_path / "reviews-race.toml"
    file.write_text(suite_text(keys, file, budget_of("0.04%"), "30m", "builtin:minilm"))
    suite = load(file)
    assert (suite.name, len(suite.runs), suite.races["best"].rules.budget_seconds) == ("reviews-race", 8, 1800)
    assert {run.spec.budget for run in suite.runs} == {0.0004}
    assert [budget_of(text) for text in ("9000", "0.5")] == [9000, 0.5]


# Ranges are drawn by Optuna, which is an extra.
RANGES = """
race = { arms = ARMS, rungs = [100, 300] }
matrix = { method = ["s3", "random"] }
retrain.learning_rate = { low = 1e-3, high = 1e-2, log = true }
retrain.batch_size = { choice = [8, 16, 32] }
search.max_steps = { low = 10, high = 90 }
"""


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna")


def test_ranges_are_drawn_for_each_point_of_the_matrix_and_the_same_each_time(read, optuna):
    suite = read(RANGES.replace("ARMS", "8"))
    rates = {
        method: [r.spec.retrain.learning_rate for r in suite.runs if r.spec.method == method]
        for method in ("s3", "random")
    }
    for found in rates.values():
        # Spread evenly over the range in its logarithm: two of four below the middle.
        assert len(found) == 4
        assert sum(rate < 10**-2.5 for rate in found) == 2
        assert all(1e-3 <= rate <= 1e-2 and float(f"{rate:.3g}") == rate for rate in found)
    assert rates["s3"] != rates["random"]
    assert all(10 <= run.spec.search.max_steps <= 90 for run in suite.runs)
    assert {run.spec.retrain.batch_size for run in suite.runs} <= {8, 16, 32}
    first = suite.runs[0]
    assert f"retrain.learning_rate={first.spec.retrain.learning_rate}" in first.name
    assert [run.name for run in read(RANGES.replace("ARMS", "8")).runs] == [run.name for run in suite.runs]
    assert [run.name for run in read(RANGES.replace("ARMS", "10")).runs][:8] == [run.name for run in suite.runs]


def test_arms_that_were_drawn_before_keep_their_values(read, tmp_path, optuna):
    suite = read(RANGES.replace("ARMS", "4"))
    record = suite.races["best"]
    write_race(suite.folder / "best", record)
    assert read_race(suite.folder / "best") == record
    written = read_json(suite.folder / "best" / "race.json")
    written["drawn"][0]["retrain.learning_rate"] = 0.00777  # as another version of Optuna may have drawn it
    (suite.folder / "best" / "race.json").write_text(json.dumps(written))
    again = read(RANGES.replace("ARMS", "6")).runs
    assert again[0].spec.retrain.learning_rate == 0.00777
    assert [run.name for run in again[1:4]] == [run.name for run in suite.runs[1:]]


def test_arms_that_come_later_are_drawn_by_what_the_earlier_ones_scored(optuna):
    key = ("retrain", "learning_rate")
    wide = {key: {"low": 1e-4, "high": 1e-1, "log": True}}
    first = draw(wide, 2, 12)
    off = lambda point, best: abs(math.log10(point[key] / best))  # noqa: E731
    for best in (3e-4, 3e-3, 3e-2):
        scores = [1.0 - off(point, best) for point in first]
        through = sorted(scores)[-4]  # these went on to the second rung, the others were dropped at the first
        tried = [
            Tried(as_keys(point), {10: score} | ({30: score} if score >= through else {}), score >= through)
            for point, score in zip(first, scores, strict=True)
        ]
        more = draw(wide, 2, 20, list(map(as_keys, first)), lambda tried=tried: tried)
        assert more[:12] == first
        assert more == draw(wide, 2, 20, list(map(as_keys, first)), lambda tried=tried: tried)
        means = [sum(off(point, best) for point in points) / len(points) for points in (first, more[12:])]
        assert means[1] < 0.8 * means[0]
    # What has failed is as far from good as what scored least.
    failed = [Tried(as_keys(p), {}, failed=True) if p[key] > 3e-3 else Tried(as_keys(p), {10: 0.5}) for p in first]
    later = draw(wide, 2, 20, list(map(as_keys, first)), lambda: failed)[12:]
    assert sum(point[key] > 3e-3 for point in later) < 4


def test_ranges_of_a_record_are_read_back_and_damaged_ones_are_refused():
    ranges = {("retrain", "learning_rate"): {"low": 1e-4, "high": 1e-1, "log": True}, ("seed",): {"choice": [1, 2]}}
    assert of_text(as_text(ranges)) == ranges
    assert of_text("") == {}
    for text in ("{", "[3]", "[[[], 3]]", '[[["seed"], {"low": 1}]]', "null", '{"a": 1}'):
        with pytest.raises(RunDirError, match="the ranges of the race are damaged"):
            of_text(text)


def test_ranges_with_too_few_values_are_refused(problems, optuna):
    text = "race = { arms = 5, rungs = [100] }\nretrain.batch_size = { choice = [8, 16, 32] }\n"
    assert problems(text) == [
        "experiment.best.race: the ranges have fewer different values than arms: lower arms, or widen a range"
    ]


def test_optuna_is_imported_for_ranges_alone(read, tmp_path):
    read(RACE)
    code = f"import sys; from pathlib import Path; from s3tui.suite.load import load; load(Path({str(tmp_path / 's.toml')!r})); print('optuna' in sys.modules)"  # noqa: E501
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
