"""Comparisons of structures: worked examples, and what must hold for any."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.run.comparing import agreement, difference, drawn_like
from core.run.structure import Candidate, Structure, jaccard

SPACE = tuple(Candidate("attn.q", "encoder", i, f"layer.{i}.q", "lora(rank=1)", 10 + i) for i in range(8))
chosen = st.sets(st.integers(0, 7)).map(lambda found: tuple(sorted(found)))


def structure(selected, budget=60):
    return Structure(SPACE, tuple(float(i in selected) for i in range(8)), tuple(selected), budget, "m")


def test_what_two_structures_share_and_do_not():
    found = difference(structure((0, 1, 2)), structure((1, 2, 5)))
    assert [c.layer for c in found.only_a] == [0]
    assert [c.layer for c in found.only_b] == [5]
    assert [c.layer for c in found.both] == [1, 2]
    assert found.jaccard == 0.5


@given(a=chosen, b=chosen)
def test_a_difference_parts_everything_that_is_chosen(a, b):
    found = difference(structure(a), structure(b))
    assert {c.layer for c in found.only_a + found.both} == set(a)
    assert {c.layer for c in found.only_b + found.both} == set(b)


def test_agreement_counts_how_often_each_candidate_is_chosen_and_averages_the_overlap_of_pairs():
    told = agreement([structure((0, 1)), structure((0, 2)), structure((0, 1))])
    assert [(c.layer, share) for c, share in told.frequency] == [(0, 1.0), (1, pytest.approx(2 / 3)), (2, 1 / 3)]
    assert told.pairs == ((1.0, 1 / 3, 1.0), (1 / 3, 1.0, 1 / 3), (1.0, 1 / 3, 1.0))
    assert told.overlap == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)


@settings(max_examples=25)
@given(st.lists(chosen, min_size=3, max_size=6))
def test_the_interval_lies_within_the_overlaps_of_pairs_and_repeats(selections):
    structures = [structure(s) for s in selections]
    told = agreement(structures)
    pairs = [jaccard(a, b) for a, b in itertools.combinations(structures, 2)]
    low, high = told.interval
    assert min(pairs) - 1e-12 <= low <= high <= max(pairs) + 1e-12
    assert agreement(structures).interval == told.interval


def test_a_structure_is_no_pair_with_itself_in_a_resample():
    """Three structures without anything in common: no resample may find that they agree."""
    told = agreement([structure((0,)), structure((1,)), structure((2,))])
    assert told.interval == (0.0, 0.0)


def test_two_structures_are_too_few_for_an_interval():
    assert agreement([structure((0,)), structure((0, 1))]).interval is None


def test_chance_shares_what_random_structures_share():
    """Of 8 candidates of about 13 parameters, about 4 fit under 60: two random sets of 4 overlap by 0.35 on average."""
    structures = [structure((0, 1, 2, 3)) for _ in range(4)]
    drawn = [drawn_like(structures[0], seed) for seed in range(80)]
    expected = statistics.mean(jaccard(a, b) for a, b in itertools.combinations(drawn, 2))
    assert agreement(structures).by_chance == pytest.approx(expected, abs=0.03)


@given(seed=st.integers(0, 2**32), budget=st.one_of(st.none(), st.integers(10, 100)))
def test_a_random_structure_keeps_space_and_budget_and_repeats(seed, budget):
    like = structure((1, 2, 3), budget)
    drawn = drawn_like(like, seed)
    assert drawn.candidates == like.candidates
    assert drawn.parameters <= (budget or like.parameters)
    assert drawn_like(like, seed) == drawn
