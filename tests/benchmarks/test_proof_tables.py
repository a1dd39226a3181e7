"""What the tables of the proof say of runs that a test makes up: which rate, which verdict, which candidates."""

import choices
import pytest
from evidence import BITFIT, FISHER, LORA, RANDOM, S3, TAYLOR
from made_up import NAMES, evidence
from proof import by_rate, choose, proof, sweep
from proof_tables import chosen, compute, early, ranks, scores


def test_a_seed_is_reported_at_the_rate_that_the_others_choose():
    # The seed 0 looks best at 2e-2, where it is the luckiest; the other two do better at 1e-2.
    found = evidence(
        (LORA, 1e-2, 0, 0.5, 0.70, 0.71), (LORA, 1e-2, 1, 0.5, 0.80, 0.81), (LORA, 1e-2, 2, 0.5, 0.80, 0.82),
        (LORA, 2e-2, 0, 0.5, 0.99, 0.98), (LORA, 2e-2, 1, 0.5, 0.70, 0.72), (LORA, 2e-2, 2, 0.5, 0.70, 0.73),
    )  # fmt: skip
    best = choose(by_rate(found, LORA, "sst2"))
    assert best.rates == {0: 1e-2, 1: 2e-2, 2: 2e-2}
    assert best.scores == pytest.approx({0: 71.0, 1: 72.0, 2: 73.0})


def test_all_methods_of_a_task_choose_among_the_same_rates():
    rows = [(LORA, value, seed, 0.5, 0.5, 0.5) for value in (5e-3, 1e-2, 2e-2) for seed in (0, 1)]
    rows += [(S3, value, seed, 0.5, 0.5, 0.5) for value in (1e-2, 2e-2) for seed in (0, 1)]
    rows += [(S3, 5e-3, 0, 0.5, 0.5, 0.5)]  # one seed chooses nothing
    assert {title: sorted(runs) for title, runs in sweep(evidence(*rows), "sst2").items()} == {
        S3.title: [1e-2, 2e-2],
        LORA.title: [1e-2, 2e-2],
    }


def test_runs_of_another_precision_or_with_other_settings_are_no_runs_of_an_arm():
    rows = [(LORA, 1e-2, seed, 0.5, 0.5, 0.5) for seed in (0, 1)]
    assert proof(evidence(*rows), "sst2").keys() == {LORA.title}
    assert proof(evidence(*rows, more={"retrain.clip": 0.5}), "sst2") == {}
    single = [(type(LORA)("", "fixed", "lora-q-v", precision="fp32"), *row[1:]) for row in rows]
    assert proof(evidence(*single), "sst2") == {}


def test_what_no_method_reads_of_a_search_makes_no_other_arm():
    rows = [(arm, 1e-2, seed, 0.5, 0.5, 0.5) for arm in (FISHER, S3) for seed in (0, 1)]
    assert proof(evidence(*rows, more={"search.learning_rate": 5e-3}), "sst2").keys() == {FISHER.title}


def everywhere(tasks):
    """Three methods of which one always wins by as much as the tasks are many."""
    found = {}
    for i, task in enumerate(tasks):
        rows = [(LORA, 1e-2, seed, 0.5, 0.5, 0.50 + seed / 100) for seed in (0, 1, 2)]
        rows += [(S3, 1e-2, seed, 0.6, 0.6, 0.60 + (seed + i) / 100) for seed in (0, 1, 2)]
        rows += [(RANDOM, 1e-2, seed, 0.5, 0.5, 0.50 + seed / 90) for seed in (0, 1, 2)]
        found[task] = evidence(*rows, task=task).tasks[task]
    return type(evidence())(found)


def test_ranks_are_tested_only_where_there_are_tasks_enough():
    few, many = (ranks(everywhere(("icd10-chapter", "sst2", "stsb", "mrpc", "cola", "rte")[:n])) for n in (4, 6))
    assert few.splitlines()[2] == "| `s3` | 1.00 | 4, 0, 0 | 4, 0, 0 |"
    assert "4 tasks are too few" in few
    assert "chi-square 12.0, p = 0.0025: some methods differ" in many
    assert "critical difference, 1.35 at 5 %" in many


def test_scores_and_costs_are_told_of_every_method_that_was_run():
    found = everywhere(("sst2",))
    assert [line.split(" | ")[0] for line in scores(found).splitlines()[2:]] == [
        "| `s3`", "| random structures", "| LoRA r1 on q, v", "| most frequent answer",
    ]  # fmt: skip
    assert compute(found).splitlines()[2] == "| `s3` | 200 | 500 | 1.5 | +10.0 (+10.0 to +10.0) |"
    assert BITFIT.title not in compute(found)


def test_early_ranks_are_compared_within_a_seed():
    # Each seed ranks its three arms at half as the test does; between seeds nothing agrees.
    rows = [
        (arm, 1e-2, seed, 0.1 * (place + 3 * seed), 0.5, 0.1 * (place + 3 * (1 - seed)))
        for seed in (0, 1)
        for place, arm in enumerate((LORA, RANDOM, S3), 1)
    ]
    assert "| sst2 | 3 | 1.00 (1.00 to 1.00) | 45.0 |" in early(evidence(*rows))


def test_a_kind_that_is_taken_as_often_as_it_is_offered_is_at_chance():
    assert choices.lifts([(NAMES, (0, 1, 2, 3))], choices.delta) == {"lora": 1.0, "bitfit": 1.0, "lnfit": 1.0}
    assert choices.lifts([(NAMES, (0, 2))], choices.delta) == {"lora": 2.0, "bitfit": 0.0, "lnfit": 2.0}
    assert choices.lifts([(NAMES, (2,)), (NAMES, (0,))], choices.layer) == {"layer 1": 1.0, "layer 2": 1.0}
    assert choices.site("norm.final lnfit") == "norm.final"
    assert choices.layer("E.norm.final lnfit") == "no layer"


def test_structures_are_counted_once_for_all_rates():
    rows = [(TAYLOR, value, seed, 0.5, 0.5, 0.5) for value in (5e-3, 1e-2) for seed in (0, 1)]
    found = evidence(*rows)
    assert choices.structures(found, TAYLOR, "sst2") == [(NAMES, [0, 2]), (NAMES, [1, 2])]
    assert "| layer 2 | 50 % |  | 1.0 (0 of 1) |  |" in chosen(found)
