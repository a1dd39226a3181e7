import csv
import io
import json
import math

import pytest
from rich.console import Console
from stand_in import BACKBONE, BUDGET, result

from core.run.events import EventWriter, Started
from core.run.rundir import RunDir, write_json
from s3tui.cli import results_table
from s3tui.cli.results_table import print_csv, print_json, print_table
from s3tui.results.standings import comparisons, standings
from s3tui.results.summary import grouped, rows_of, without_seed
from s3tui.runs.workspace import find_runs


def results(folder):
    return rows_of(find_runs(folder))


def placed(folder):
    return standings(grouped(find_runs(folder)))


@pytest.fixture
def finished(tmp_path):
    def add(name, score, seed=0, method="s3", clip=2.0, **changes):
        spec = {"task": {"name": "t"}, "model": "m", "method": method, "seed": seed, "search": {"clip": clip}}
        directory = RunDir(tmp_path / name)
        directory.create(spec)
        write_json(directory.result, result(spec, score, **changes))

    return add


def test_mean_and_sample_deviation_are_over_the_seeds(finished, tmp_path):
    for seed, (score, parameters, total) in enumerate([(0.5, 90, 10.0), (0.6, 91, 20.0), (0.7, 95, 60.0)]):
        finished(f"a/seed={seed}", score, seed, parameters=parameters, seconds={"total": total})
    (row,) = results(tmp_path)
    assert (row.experiment, row.runs, row.parameters, row.seconds) == ("a", 3, 92, 30.0)
    assert math.isclose(row.score_mean, 0.6)
    assert math.isclose(row.score_std, 0.1)  # sqrt((0.01 + 0 + 0.01) / 2)


def test_a_single_run_has_no_deviation(finished, tmp_path):
    finished("a", 0.5)
    (row,) = results(tmp_path)
    assert (row.score_mean, row.score_std, row.runs) == (0.5, None, 1)


def test_other_keys_of_a_matrix_make_rows_of_their_own(finished, tmp_path):
    for seed in (0, 1):
        finished(f"a/seed={seed},search.clip=1.0", 0.5, seed, clip=1.0)
        finished(f"a/seed={seed},search.clip=2.0", 0.6, seed, clip=2.0)
    assert [(row.experiment, row.runs) for row in results(tmp_path)] == [
        ("a/search.clip=2.0", 2),
        ("a/search.clip=1.0", 2),
    ]


def test_runs_with_other_settings_are_never_averaged_together(finished, tmp_path):
    finished("a/seed=0", 0.5, 0, clip=1.0)
    finished("a/seed=1", 0.6, 1, clip=2.0)
    assert [row.runs for row in results(tmp_path)] == [1, 1]


def test_runs_of_different_precision_are_never_averaged_and_the_table_says_which_is_which(finished, tmp_path, capsys):
    finished("a/seed=0", 0.5, 0, precision="fp32")
    finished("a/seed=1", 0.6, 1, precision="bf16")
    finished("a/seed=2", 0.8, 2, precision="bf16")
    rows = results(tmp_path)
    assert [(row.precision, row.runs, round(row.score_mean, 2)) for row in rows] == [("bf16", 2, 0.7), ("fp32", 1, 0.5)]
    print_table(placed(tmp_path))
    out = capsys.readouterr().out
    assert "model m in bf16" in out
    assert "model m in fp32" in out
    print_json(placed(tmp_path))
    assert [row["precision"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["bf16", "fp32"]


def test_results_of_older_versions_have_the_precision_that_their_worker_began_with(finished, tmp_path):
    finished("old/seed=0", 0.5, 0)
    finished("old/seed=1", 0.6, 1)
    finished("unknown/seed=0", 0.6, 1)
    for seed, precision in enumerate(("float32", "bfloat16")):
        events = EventWriter(RunDir(tmp_path / f"old/seed={seed}").events)
        events.write(Started("0", 1, 1, "cpu", precision, {"torch": "2.13.0"}))
        events.close()
    assert {(row.experiment, row.precision) for row in results(tmp_path)} == {
        ("old", "fp32"), ("old", "bf16"), ("unknown", ""),
    }  # fmt: skip


def test_the_best_score_comes_first_within_its_task(finished, tmp_path):
    finished("low", 0.5)
    finished("high", 0.7)
    finished("other", 0.9, task="z")
    assert [row.experiment for row in results(tmp_path)] == ["high", "low", "other"]


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("a", "a"),
        ("a/seed=1", "a"),
        ("s/a/seed=1", "s/a"),
        ("a/seed=1,budget=10", "a/budget=10"),
        ("a/budget=10,seed=12", "a/budget=10"),
        ("a/data_seed=1", "a/data_seed=1"),
    ],
)
def test_a_group_is_called_as_its_runs_without_the_seed(name, group):
    assert without_seed(name) == group


def test_the_gain_of_the_search_is_told_against_the_best_other_at_the_budget(finished, tmp_path):
    finished("s", 0.61)
    finished("r/seed=0", 0.55, 0, method="random")
    finished("r/seed=1", 0.57, 1, method="random")
    finished("f", 0.52, method="fixed")
    finished("all", 0.9, method="full", budget=None)
    assert list(comparisons(placed(tmp_path))) == [
        "At a budget of 9,086 parameters, s3 (s, 61.00) is 5.00 points above the best without a search, "
        "random (r, 56.00); runs: 1 and 2."
    ]


def test_each_search_is_told_against_what_was_not_searched(finished, tmp_path):
    finished("s", 0.61)
    finished("b", 0.7, method="bipeft")
    finished("r", 0.55, method="random")
    finished("all", 0.9, method="full")  # with the budget of the defaults, which binds it to nothing
    assert list(comparisons(placed(tmp_path))) == [
        f"At a budget of 9,086 parameters, {ours} points above the best without a search, random (r, 55.00); "
        "runs: 1 and 1."
        for ours in ("bipeft (b, 70.00) is 15.00", "s3 (s, 61.00) is 6.00")
    ]


def test_two_searches_alone_are_no_comparison(finished, tmp_path):
    finished("s", 0.61)
    finished("b", 0.7, method="bipeft")
    assert list(comparisons(placed(tmp_path))) == []


@pytest.mark.parametrize(("other", "words"), [(0.625, "is 1.50 points below"), (0.61, "is the same as")])
def test_a_loss_and_a_tie_are_told_too(finished, tmp_path, other, words):
    finished("s", 0.61)
    finished("r", other, method="random")
    (sentence,) = comparisons(placed(tmp_path))
    assert words in sentence


def test_no_sentence_compares_across_budgets_or_tasks(finished, tmp_path):
    finished("s", 0.61)
    finished("r", 0.5, method="random", budget=BUDGET + 1)
    finished("q", 0.5, method="random", task="other")
    assert list(comparisons(placed(tmp_path))) == []


def test_json_has_the_promised_keys_and_unrounded_numbers(finished, tmp_path, capsys):
    finished("a", 1 / 3)
    print_json(placed(tmp_path))
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    promised = {"experiment", "task", "method", "budget", "parameters", "score_mean", "score_std", "runs"}
    assert promised <= row.keys()
    assert (row["score_mean"], row["score_std"], row["backbone_parameters"]) == (1 / 3, None, BACKBONE)


def test_csv_can_be_read_back(finished, tmp_path, capsys):
    finished("a", 0.5)
    print_csv(placed(tmp_path))
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["experiment"], row["score_mean"], row["score_std"]) == ("a", "0.5", "")


def test_the_table_marks_what_is_best_and_says_how_sure_that_is(finished, tmp_path, capsys):
    known = {"rows": 640, "metrics": {"accuracy": 0.5, "macro_f1": 0.4}, "left_out": {"have no 'text'": 5, "other": 3}}
    known["constant"] = {"accuracy": 0.2, "macro_f1": 0.1}
    finished("s", 0.61, standard_error=0.0125, **known)
    finished("r", 0.50, method="random", standard_error=0.0125, **known)
    finished("f/seed=0", 0.59, 0, method="fixed", standard_error=0.0125, **known)
    finished("f/seed=1", 0.61, 1, method="fixed", standard_error=0.0125, **known)
    print_table(placed(tmp_path))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "experiment method budget trained test s.e. macro_f1 gain runs time" in lines
    assert "~ s s3 9,086 9,076 61.00 1.25 40.00 +1.00 [-2.46, +4.46] 1 1m 23s" in lines
    assert "~ f fixed 9,086 9,076 60.00 ± 1.41 1.25 40.00 2 1m 23s" in lines
    assert "r random 9,086 9,076 50.00 1.25 40.00 1 1m 23s" in lines
    assert (
        "test: accuracy x 100 on t (640 test rows), model m; ± standard deviation over seeds; "
        "s.e. standard error of one run over the test rows" in lines
    )
    assert "majority baseline (always the most frequent answer, or the mean): accuracy 20.00, macro_f1 10.00" in lines
    assert '8 bad rows of the data left out: on_bad_rows = "drop"' in lines
    assert (
        "At a budget of 9,086 parameters, s3 (s, 61.00) is 1.00 points above the best without a search, "
        "fixed (f, 60.00), which is within noise; runs: 1 and 2." in lines
    )
    assert "~ within noise: the 95 % interval of the difference to the best covers 0" in lines
    assert "gain: over the best baseline; 95 % interval over rows" in lines


def test_results_of_before_print_as_much_as_is_known(finished, tmp_path, capsys):
    finished("s", 0.61)
    finished("r", 0.55, method="random")
    print_table(placed(tmp_path))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "? s s3 9,086 9,076 61.00 +6.00 1 1m 23s" in lines
    assert "test: accuracy x 100 on t, model m" in lines


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_the_terminal_and_names_break_between_parts(finished, tmp_path, monkeypatch, capsys, width):
    monkeypatch.setattr(results_table, "console", lambda: Console(width=width, markup=False, highlight=False))
    for name, method in (("searched", "s3"), ("by-chance", "random")):
        for seed in (0, 1):
            finished(f"{name}/space=mix-low-rank,seed={seed}", 0.6, seed, method=method, standard_error=0.01)
    print_table(placed(tmp_path))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "searched/" in out
    assert "space=mix-low-rank" in out
    assert "60.00 ± 0.00" in out
    assert ("time" in out) == (width == 120)


def test_json_and_csv_have_the_gain_and_how_sure_the_score_is(finished, tmp_path, capsys):
    known = {"rows": 640, "standard_error": 0.02, "constant": {"accuracy": 0.2}}
    finished("s", 0.65, **known, metrics={"accuracy": 0.65, "macro_f1": 0.5})
    finished("r", 0.55, method="random", **known)
    print_json(placed(tmp_path))
    ours, other = json.loads(capsys.readouterr().out)["rows"]
    wanted = {
        "rows": 640, "standard_error": 0.02, "constant": 0.2, "second_metric": "macro_f1", "second_mean": 0.5,
        "place": "best", "gain_over": "r", "gain_pairs": 0, "gain_interval": "rows",
    }  # fmt: skip
    assert {key: ours[key] for key in wanted} == wanted
    half = 1.96 * math.hypot(0.02, 0.02)
    assert [ours[key] for key in ("gain", "gain_low", "gain_high")] == pytest.approx([0.1, 0.1 - half, 0.1 + half])
    assert other["gain"] is None
    print_csv(placed(tmp_path))
    first = next(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert (first["gain_over"], first["rows"]) == ("r", "640")


def test_names_from_files_are_cleaned_and_never_markup(finished, tmp_path, capsys):
    finished("s", 0.61, model="[/red]\x1b]0;owned\x07m")
    print_table(placed(tmp_path))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "model [/red]m" in out
