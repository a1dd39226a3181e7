"""Structures: never above the budget, chosen by the rule that was asked for, read back as they were written."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.run.errors import RunDirError
from core.run.selection import mean, random_selection, select
from core.run.structure import (
    Candidate,
    Structure,
    choices_of,
    jaccard,
    read_structure,
    site_label,
    whole_space,
)

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "gates-t5-small.json").read_bytes())
PARAMETERS = [position["params"] for position in ORACLE["positions"]]

probabilities = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))
counts = st.one_of(st.integers(1, 40), st.integers(1, 40).map(lambda n: 512 * n))
spaces = st.lists(st.tuples(probabilities, counts), max_size=40)
budgets = st.one_of(st.floats(0, 30_000), st.integers(0, 30_000))


# Candidates with the number of the choice they belong to, as `choices_of` gives it.
alternatives = st.lists(st.tuples(probabilities, counts, st.integers(0, 5)), max_size=12)


def spent(selected: tuple[int, ...], parameters: list[int]) -> int:
    return sum(parameters[i] for i in selected)


def structure(p: tuple[float, ...] = (0.75, 0.5, 0.25), selected: tuple[int, ...] = (0, 2)) -> Structure:
    return Structure(
        candidates=(
            Candidate("attn.q", "encoder", 3, "encoder.block.3.layer.0.SelfAttention.q", "lora(rank=1)", 1024),
            Candidate("norm.final", "decoder", None, "decoder.final_layer_norm", "lnfit", 512),
            Candidate("head", "", None, "lm_head", "bitfit", 600),
        ),
        p=p,
        selected=selected,
        budget=1700,
        model="t5-small",
    )


@pytest.mark.parametrize("how", ["first-fit", "knapsack"])
@given(space=spaces, budget=budgets)
def test_a_selection_never_exceeds_the_budget(how, space, budget):
    p, parameters = [pair[0] for pair in space], [pair[1] for pair in space]
    selected = select(p, parameters, budget, how)
    assert spent(selected, parameters) <= budget
    assert list(selected) == sorted(set(selected))


@given(space=spaces, budget=budgets)
def test_first_fit_leaves_out_only_what_no_longer_fits(space, budget):
    p, parameters = [pair[0] for pair in space], [pair[1] for pair in space]
    selected = select(p, parameters, budget, "first-fit")
    for i in set(range(len(p))) - set(selected):
        before = [j for j in selected if (-p[j], j) < (-p[i], i)]
        assert spent(tuple(before), parameters) + parameters[i] > budget


@given(space=st.lists(st.tuples(probabilities, counts), max_size=12), budget=budgets)
def test_knapsack_finds_the_best_of_all_subsets(space, budget):
    p, parameters = [pair[0] for pair in space], [pair[1] for pair in space]
    subsets = itertools.chain.from_iterable(itertools.combinations(range(len(p)), r) for r in range(len(p) + 1))
    best = max(sum(p[i] for i in s) for s in subsets if spent(s, parameters) <= budget)
    assert sum(p[i] for i in select(p, parameters, budget, "knapsack")) == pytest.approx(best, abs=1e-12)


def numbered(space: list[tuple[float, int, int]]) -> tuple[list[float], list[int], list[int]]:
    """p, counts, and for each candidate the first of its alternatives."""
    labels = [choice for _, _, choice in space]
    return [p for p, _, _ in space], [n for _, n, _ in space], [labels.index(choice) for choice in labels]


def is_exclusive(selected: tuple[int, ...], choices: list[int]) -> bool:
    return len({choices[i] for i in selected}) == len(selected)


@pytest.mark.parametrize("how", ["first-fit", "knapsack"])
@given(space=alternatives, budget=budgets)
def test_of_alternatives_at_most_one_is_selected_within_the_budget(how, space, budget):
    p, parameters, choices = numbered(space)
    selected = select(p, parameters, budget, how, choices)
    assert is_exclusive(selected, choices)
    assert spent(selected, parameters) <= budget


@given(space=alternatives, budget=budgets, seed=st.integers(0, 2**32))
def test_a_random_selection_takes_at_most_one_of_alternatives(space, budget, seed):
    _, parameters, choices = numbered(space)
    selected = random_selection(parameters, budget, seed, choices)
    assert is_exclusive(selected, choices)
    assert spent(selected, parameters) <= budget
    left = budget - spent(selected, parameters)
    taken = {choices[i] for i in selected}
    assert all(parameters[i] > left or choices[i] in taken for i in range(len(parameters)))


@given(space=alternatives, budget=budgets)
def test_knapsack_finds_the_best_of_all_subsets_with_one_of_alternatives(space, budget):
    p, parameters, choices = numbered(space)
    subsets = itertools.chain.from_iterable(itertools.combinations(range(len(p)), r) for r in range(len(p) + 1))
    allowed = (s for s in subsets if spent(s, parameters) <= budget and is_exclusive(s, choices))
    best = max(sum(p[i] for i in s) for s in allowed)
    assert sum(p[i] for i in select(p, parameters, budget, "knapsack", choices)) == pytest.approx(best, abs=1e-12)


def test_alternatives_stand_in_the_order_by_what_they_are_worth_together():
    p, parameters = [0.4, 0.3, 0.35, 0.1], [10, 10, 20, 40]
    choices = [0, 1, 1, 1]
    assert select(p, parameters, 20, "first-fit", choices) == (2,)
    assert select(p, parameters, 15, "first-fit", choices) == (1,)
    assert select(p, parameters, 30, "first-fit", choices) == (0, 2)


def ranks() -> tuple[Candidate, ...]:
    """The ranks of a LoRA at two modules, and a bias."""
    text = "lora(rank=[1, 2])"
    loras = [Candidate("attn.q", "encoder", 0, m, f"lora(rank={r})", r * 10, text) for m in ("q", "v") for r in (1, 2)]
    return (*loras, Candidate("attn.q", "encoder", 0, "q", "bitfit", 5))


def test_alternatives_are_those_of_one_choice_at_one_module():
    assert choices_of(ranks()) == [0, 0, 2, 2, 4]
    assert whole_space(ranks()) == 20 + 20 + 5


def test_a_structure_with_choices_comes_back_as_it_was_written():
    one = Structure(ranks(), (0.1, 0.8, 0.3, 0.2, 0.9), (1, 2, 4), 35)
    again = Structure.from_json(json.loads(json.dumps(one.to_json())))
    assert again == one
    assert mean([one, again], budget=30).selected == (1, 4)


def test_a_structure_of_before_there_were_choices_is_read():
    rows = [{k: v for k, v in row.items() if k != "choice"} for row in structure().to_json()["candidates"]]
    assert Structure.from_json(damaged(candidates=rows)) == structure()


def test_knapsack_takes_the_many_where_first_fit_takes_the_large():
    p, parameters = [0.9, 0.8, 0.8], [100, 50, 50]
    assert select(p, parameters, 100, "first-fit") == (0,)
    assert select(p, parameters, 100, "knapsack") == (1, 2)


def test_equal_probabilities_keep_the_order_of_the_space():
    assert select([0.5] * 5, [10, 10, 25, 10, 10], 35, "first-fit") == (0, 1, 3)


def test_a_later_smaller_candidate_may_still_fit():
    assert select([0.9, 0.8, 0.7], [60, 60, 40], 100, "first-fit") == (0, 2)


@pytest.mark.parametrize("how", ["first-fit", "knapsack"])
def test_a_budget_for_all_takes_all_and_an_empty_space_nothing(how):
    assert select([0.5, 0.1], [7, 5], 12, how) == (0, 1)
    assert select([0.5, 0.1], [7, 5], float("inf"), how) == (0, 1)
    assert select([], [], 12, how) == ()


def test_a_rule_that_nobody_knows_is_not_taken_for_another():
    with pytest.raises(KeyError):
        select([0.5], [1], 1, "firstfit")


@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda case: f"{case['alpha']}@{case['relative']}")
def test_first_fit_selects_what_the_papers_code_selects(case):
    selected = select(case["p_delta"], PARAMETERS, case["budget_params"], "first-fit")
    assert list(selected) == case["selected_idx"]
    assert spent(selected, PARAMETERS) == case["selected_params"]


def test_the_papers_cases_have_ties_that_the_order_decides():
    tied = [case for case in ORACLE["cases"] if len(set(case["p_delta"])) < len(case["p_delta"])]
    assert any(0 < len(case["selected_idx"]) < len(PARAMETERS) for case in tied)


@given(st.lists(counts, min_size=1, max_size=40), budgets, st.integers(0, 2**32))
def test_a_random_selection_depends_on_the_seed_alone_and_fills_the_budget(parameters, budget, seed):
    selected = random_selection(parameters, budget, seed)
    assert selected == random_selection(list(parameters), budget, seed)
    assert spent(selected, parameters) <= budget
    left = budget - spent(selected, parameters)
    assert all(parameters[i] > left for i in set(range(len(parameters))) - set(selected))


def test_a_random_selection_is_the_same_on_every_machine_and_differs_by_seed():
    assert random_selection([10] * 30, 50, seed=0) == (3, 5, 10, 17, 18)
    assert len({random_selection([10] * 30, 50, seed) for seed in range(50)}) > 45


def test_every_candidate_has_its_chance_in_a_random_selection():
    drawn = [i for seed in range(300) for i in random_selection([10] * 10, 50, seed)]
    assert all(110 < drawn.count(i) < 190 for i in range(10))


def test_a_structure_comes_back_as_it_was_written():
    written = json.loads(json.dumps(structure().to_json()))
    assert Structure.from_json(written) == structure()
    assert written["parameters"] == 1624
    assert [row["selected"] for row in written["candidates"]] == [True, False, True]


def test_names_say_where_a_candidate_stands():
    assert [c.name for c in structure().candidates] == [
        "E3.attn.q lora(rank=1)",
        "D.norm.final lnfit",
        "head bitfit",
    ]
    assert site_label("attn.q", "decoder", 0) == "D0.attn.q"


def damaged(**changes: object) -> object:
    return structure().to_json() | changes


def damaged_row(**changes: object) -> object:
    rows = structure().to_json()["candidates"]
    return damaged(candidates=[{k: v for k, v in (rows[0] | changes).items() if v is not ...}, *rows[1:]])


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        [{"SelfAttention.q": {"parallel": {"Lora": {}}}}],
        damaged(format="s3tui-delta"),
        damaged(version=2),
        damaged(version="one"),
        damaged(candidates=None),
        damaged(candidates=[1]),
        damaged_row(p=None),
        damaged_row(p="high"),
        damaged_row(p=...),
        damaged_row(module=...),
        damaged_row(module=7),
        damaged_row(delta=None),
        damaged_row(parameters="1024"),
        damaged_row(parameters=10.5),
        damaged_row(layer="3"),
        damaged_row(selected=...),
    ],
)
def test_a_damaged_structure_is_refused(data):
    with pytest.raises(RunDirError, match="structure file"):
        Structure.from_json(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (damaged_row(selected="false"), "candidates[0].selected should be true or false, not 'false'"),
        (damaged_row(selected=1), "candidates[0].selected should be true or false, not 1"),
        (damaged_row(p=math.nan), "candidates[0].p should be a number from 0 to 1, not nan"),
        (damaged_row(p=-1), "candidates[0].p should be a number from 0 to 1, not -1"),
        (damaged_row(p=2), "candidates[0].p should be a number from 0 to 1, not 2"),
        (damaged_row(p=True), "candidates[0].p should be a number from 0 to 1, not true"),
        (damaged_row(parameters=-3), "candidates[0].parameters should be a whole number of 1 or more, not -3"),
        (damaged_row(parameters=0), "candidates[0].parameters should be a whole number of 1 or more, not 0"),
        (damaged_row(parameters=True), "candidates[0].parameters should be a whole number of 1 or more, not true"),
        (damaged_row(layer=-1), "candidates[0].layer should be a whole number of 0 or more, not -1"),
        (damaged_row(layer=1.5), "candidates[0].layer should be a whole number of 0 or more, not 1.5"),
        (damaged_row(choice=3), "candidates[0].choice should be a text, not 3"),
        (damaged(budget="102458"), "budget should be a whole number of 0 or more, not '102458'"),
        (damaged(budget=10.5), "budget should be a whole number of 0 or more, not 10.5"),
        (damaged(version=True), "version should be a whole number of 1 or more, not true"),
        (damaged(model=None), "model should be a text, not null"),
        (damaged(candidates={}), "candidates should be a list, not an object"),
        (
            damaged(candidates=[damaged()["candidates"][0]] * 2),
            "candidates[1] is the same as candidates[0]: lora(rank=1) at",
        ),
    ],
)
def test_what_is_wrong_in_a_structure_is_said(data, said):
    Structure.from_json(
        structure().to_json()
    )  # its candidates are known then, and a damaged row that equals one is not
    with pytest.raises(RunDirError) as caught:
        Structure.from_json(data)
    assert said in str(caught.value)


def test_two_alternatives_are_not_chosen_together():
    rows = Structure(ranks(), (0.1, 0.8, 0.3, 0.2, 0.9), (1, 2), 35).to_json()
    rows["candidates"][0]["selected"] = True
    with pytest.raises(RunDirError, match=r"candidates\[1\] is selected, and so is its alternative candidates\[0\]"):
        Structure.from_json(rows)


def test_the_file_of_a_damaged_structure_is_named(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(damaged_row(p=3)))
    with pytest.raises(RunDirError) as caught:
        read_structure(path)
    assert str(caught.value).startswith(f"{path}: the structure file is damaged: candidates[0].p should be")


def test_similarity_is_the_shared_part_of_what_is_chosen():
    a = structure(selected=(0, 1))
    assert jaccard(a, a) == 1.0
    assert jaccard(a, structure(selected=(1, 2))) == pytest.approx(1 / 3)
    assert jaccard(a, structure(selected=(2,))) == 0.0
    assert jaccard(structure(selected=()), structure(selected=())) == 1.0
    assert jaccard(a, structure(selected=())) == jaccard(structure(selected=()), a) == 0.0


def test_similarity_tells_the_deltas_of_one_site_apart():
    a = structure(selected=(0,))
    other = replace(a, candidates=(replace(a.candidates[0], delta="lora(rank=2)"), *a.candidates[1:]))
    assert jaccard(a, other) == 0.0


def test_the_mean_of_runs_is_selected_again_under_its_own_budget():
    a, b = structure(p=(1.0, 0.25, 0.0), selected=(0,)), structure(p=(0.0, 0.75, 1.0), selected=(1, 2))
    averaged = mean([a, b], budget=1112)
    assert averaged.p == (0.5, 0.5, 0.5)
    assert (averaged.selected, averaged.budget, averaged.parameters) == ((0,), 1112, 1024)
    assert mean([a, b], budget=1112, how="knapsack").selected == (1, 2)
    assert (averaged.model, averaged.candidates) == (a.model, a.candidates)


def test_runs_of_different_spaces_have_no_mean():
    a = structure()
    with pytest.raises(RunDirError, match="different spaces"):
        mean([a, replace(a, candidates=a.candidates[::-1])], budget=1000)
