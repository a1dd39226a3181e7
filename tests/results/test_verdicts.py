"""What results say beside the scores: verdicts on searches, seeds against chance, p against what structures scored."""

import itertools
import json
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau
from stand_in import result

from core.run.comparing import drawn_like
from core.run.rundir import RunDir, write_json
from core.run.structure import Candidate, Structure, jaccard
from s3tui.results.rank_correlation import kendall, rank_correlation, spread
from s3tui.results.summary import grouped
from s3tui.results.verdicts import diagnose
from s3tui.runs.workspace import find_runs

SPACE = tuple(Candidate("attn.q", "encoder", i, f"layer.{i}.q", "bitfit", 10) for i in range(10))
BUDGET = 30
SURE = [0.97, 0.96, 0.95, 0.02, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01]
FLAT = [0.31, 0.31, 0.31, 0.3, 0.3, 0.3, 0.3, 0.3, 0.29, 0.28]


@pytest.fixture
def finished(tmp_path):
    def add(name, score, chosen, p=None, method="s3", space=SPACE, retrain=None, **changes):
        seed = int(name.partition("seed=")[2] or 0)
        spec = {"task": {"name": "t"}, "model": "m", "method": method, "seed": seed, "retrain": retrain or {}}
        directory = RunDir(tmp_path / "runs" / name)
        directory.create(spec)
        write_json(directory.result, result(spec, score, **({"budget": BUDGET} | changes)))
        p = p or [float(i in chosen) for i in range(len(space))]
        write_json(directory.structure, Structure(space, tuple(p), tuple(chosen), BUDGET, "m").to_json())
        return directory

    return add


def diagnosed(tmp_path):
    rows = grouped(find_runs(tmp_path / "runs"))
    return diagnose(rows), {row.experiment: row for row, _ in rows}


@pytest.fixture
def several(finished):
    """A search that decided with one seed and not with the other, and four structures beside it, one of them twice."""
    finished("suite/search/seed=0", 0.80, (0, 1, 2), SURE)
    finished("suite/search/seed=1", 0.70, (0, 1, 3), FLAT)
    finished("suite/by-chance/seed=0", 0.60, (0, 1, 7), method="random")
    finished("suite/by-chance/seed=1", 0.50, (5, 6, 7), method="random")
    finished("suite/last", 0.55, (0, 8, 9), method="fixed")
    finished("suite/again/seed=0", 0.60, (0, 1, 2), method="given")


def test_a_row_has_the_verdicts_of_its_seeds_and_an_unsearched_one_has_none(several, tmp_path):
    told, rows = diagnosed(tmp_path)
    found = told.of(rows["suite/search"])
    assert {name: one.word for name, one in found.verdicts.items()} == {
        "suite/search/seed=0": "decided", "suite/search/seed=1": "near chance",
    }  # fmt: skip
    assert found.short == "1 decided, 1 near chance"
    assert all(told.of(rows[name]).short == "" for name in ("suite/by-chance", "suite/last", "suite/again"))


def test_seeds_that_agree_are_compared_with_random_structures_from_the_space_within_the_budget(several, tmp_path):
    told, rows = diagnosed(tmp_path)
    found = told.of(rows["suite/search"])
    assert found.overlap == pytest.approx(2 / 4)
    # 3 of 10 of equal size: k are shared with probability C(3, k) C(7, 3 - k) / 120, and overlap by k / (6 - k).
    by_hand = (63 * 1 / 5 + 21 * 2 / 4 + 1) / 120
    assert found.by_chance == pytest.approx(by_hand, abs=0.06)
    drawn = [drawn_like(Structure(SPACE, (0.0,) * 10, (), BUDGET), seed) for seed in range(60)]
    mean = statistics.mean(jaccard(a, b) for a, b in itertools.combinations(drawn, 2))
    assert mean == pytest.approx(by_hand, abs=0.02)
    assert found.agreement == f"0.50 ({found.by_chance:.2f})"


def test_what_a_search_thought_of_structures_is_ranked_against_what_they_scored(several, tmp_path):
    told, _ = diagnosed(tmp_path)
    (one,) = told.correlations
    p = [(a + b) / 2 for a, b in zip(SURE, FLAT, strict=True)]
    scores = {(0, 1, 2): 0.70, (0, 1, 3): 0.70, (0, 1, 7): 0.60, (5, 6, 7): 0.50, (0, 8, 9): 0.55}
    thought = [sum(p[i] for i in chosen) for chosen in scores]
    assert one.found.structures == 5
    assert one.found.tau == pytest.approx(kendalltau(thought, list(scores.values())).statistic)
    assert str(one).startswith("suite/search: Kendall's tau of p and scores is +0.89")


def test_only_structures_of_the_space_retrained_alike_under_the_budget_are_ranked(several, finished, tmp_path):
    longer = tuple(Candidate("attn.q", "encoder", i, f"layer.{i}.q", "lora(rank=1)", 10) for i in range(10))
    finished("suite/elsewhere", 0.9, (0,), method="random", task="other")
    finished("suite/larger", 0.9, (4,), method="random", budget=BUDGET + 1)
    finished("suite/other-space", 0.9, (0, 1), method="random", space=longer)
    finished("suite/longer", 0.9, (4, 5), method="random", retrain={"max_steps": 10})
    finished("suite/all", 0.9, (), method="full", space=())
    told, _ = diagnosed(tmp_path)
    assert [one.found.structures for one in told.correlations] == [5]


def test_four_structures_are_too_few(finished, tmp_path, s3tui):
    finished("suite/search", 0.8, (0, 1, 2), SURE)
    for seed in range(3):
        finished(f"suite/by-chance/seed={seed}", 0.6, (seed, 5, 6), method="random")
    told, _ = diagnosed(tmp_path)
    assert (told.correlations[0].found.structures, told.correlations[0].found.tau) == (4, None)
    assert "suite/search: 4 structures, too few to compare p with scores: it takes 5" in s3tui("results", "runs")[1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_kendalls_tau_is_that_of_scipy(pairs):
    a, b = zip(*pairs, strict=True)
    theirs = kendalltau(a, b).statistic
    assert kendall(a, b) == (None if theirs != theirs else pytest.approx(theirs))


def test_of_unrelated_orders_95_in_100_lie_within_the_spread():
    place = random.Random(1)
    found = [abs(kendall(range(12), place.sample(range(12), 12))) <= spread(12) for _ in range(400)]
    assert 0.92 <= statistics.mean(found) <= 0.98


def test_equal_scores_have_no_rank():
    found = rank_correlation(
        {c.name: p for c, p in zip(SPACE, SURE, strict=True)}, dict.fromkeys((frozenset({c.name}) for c in SPACE), 0.5)
    )
    assert (found.structures, found.tau) == (10, None)
    assert str(found) == "p or scores do not differ between 10 structures"


def test_results_show_the_verdict_beside_the_score_and_what_it_means(several, s3tui, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    code, out, err = s3tui("results", "runs")
    assert (code, err.partition(":")[0], err.count("\n")) == (0, "see it", 1)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    (row,) = [line for line in lines if "suite/search s3" in line]
    assert "75.00 ± 7.07 1 decided, 1 near chance 0.50 (" in row
    assert (
        "search: decided: at least 90% of the chosen candidates have p > 0.9; near chance: p has more than 95% of the "
        "entropy of equal gates" in lines
    )
    assert any(line.startswith("seeds agree: mean Jaccard overlap") for line in lines)
    assert any(line.startswith("suite/search: Kendall's tau") for line in lines)


def test_json_has_the_verdict_on_every_run_and_csv_one_for_each_row(several, s3tui):
    told = json.loads(s3tui("results", "runs", "--json")[1])
    by_name = {row["experiment"]: row for row in told["rows"]}
    assert by_name["suite/search"]["verdict"] == "1 decided, 1 near chance"
    assert (by_name["suite/search"]["seed_overlap"], by_name["suite/last"]["verdict"]) == (0.5, None)
    assert 0 < by_name["suite/search"]["seed_overlap_by_chance"] < 0.5
    assert told["verdicts"]["suite/search/seed=0"]["sentence"] == "decided: 3 of 3 chosen candidates have p > 0.9"
    assert [one["structures"] for one in told["rank_correlations"]] == [5]
    head, *_ = s3tui("results", "runs", "--csv")[1].splitlines()
    assert head.endswith("verdict,seed_overlap,seed_overlap_by_chance")


def test_results_without_a_search_read_no_structure(finished, tmp_path, s3tui):
    directory = finished("suite/by-chance", 0.6, (0, 1), method="random")
    directory.structure.write_text("{ this is")
    code, out, err = s3tui("results", "runs")
    assert (code, err.partition(":")[0], err.count("\n")) == (0, "see it", 1)
    assert "search" not in out


def test_a_damaged_structure_costs_its_run_the_verdict_and_no_more(several, tmp_path, s3tui):
    (tmp_path / "runs/suite/search/seed=1/structure.json").write_text("{ this is")
    told, rows = diagnosed(tmp_path)
    found = told.of(rows["suite/search"])
    assert (found.short, found.overlap) == ("decided", None)
    assert s3tui("results", "runs")[0] == 0


def test_one_run_is_shown_with_its_verdict_and_runs_are_listed_by_it(several, s3tui):
    shown = s3tui("show", "search/seed=1", "--in", "runs")[1]
    assert "search      near chance: p is almost flat (100% of the entropy of equal gates)" in shown
    told = json.loads(s3tui("show", "search/seed=0", "--in", "runs", "--json")[1])
    assert (told["verdict"], told["search"]["numbers"]["sure"]) == ("decided", 3)
    assert json.loads(s3tui("show", "last", "--in", "runs", "--json")[1])["search"] is None
    listed = s3tui("list", "verdict:near*", "--in", "runs")[1]
    assert "search/seed=1" in listed
    assert "search/seed=0" not in listed
    by_name = {run["name"]: run["verdict"] for run in json.loads(s3tui("list", "--in", "runs", "--json")[1])["runs"]}
    assert (by_name["suite/search/seed=0"], by_name["suite/last"]) == ("decided", None)


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_report_has_the_verdict_on_every_search_the_agreement_and_the_correlation(several, s3tui, tmp_path, form):
    assert s3tui("report", "runs", "-o", f"report.{form}")[0] == 0
    text = (tmp_path / f"report.{form}").read_text(encoding="utf-8").replace("\\", "")
    assert "decided: 3 of 3 chosen candidates have p" in text
    assert "1 decided, 1 near chance" in text
    assert "Seeds agree: mean Jaccard overlap" in text
    assert "tau of p and scores is +0.89" in text
