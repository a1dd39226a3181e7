"""What would be chosen after each frame of a search, and how steady that is."""

from array import array

import pytest

from core.run.selection import Cut, select
from core.run.structure import Candidate
from s3tui.runs.history import Frame
from s3tui.structures.selection_history import (
    Choices,
    Rule,
    dominant,
    entropies,
    near_cut,
    overlaps,
    places_by_p,
    shares,
    steady_since,
)

COUNTS = (4, 4, 2, 2, 6)
DELTAS = ("lora", "lora", "bitfit", "bitfit", "lora")
SPACE = tuple(
    Candidate("attn.q" if i % 2 else "ffn.in", "encoder", i, f"m{i}", delta, n)
    for i, (delta, n) in enumerate(zip(DELTAS, COUNTS, strict=True))
)
P = ([0.2, 0.2, 0.2, 0.2, 0.2], [0.1, 0.6, 0.5, 0.2, 0.3], [0.1, 0.7, 0.6, 0.2, 0.4], [0.1, 0.7, 0.6, 0.2, 0.3])


def frames(rows=P):
    return tuple(Frame(step, array("f", p)) for step, p in enumerate(rows, 1))


def with_order(p, order):
    return Frame(1, array("f", p), None, array("I", order))


@pytest.mark.parametrize("how", ["first-fit", "knapsack"])
def test_each_choice_is_the_one_that_the_run_would_make(how):
    choices = Choices(SPACE, Rule(8, how)).advance(frames(), 10)
    assert [sorted(c.selected) for c in choices] == [list(select(f.p, COUNTS, 8, how)) for f in frames()]
    assert all(c.parameters == sum(COUNTS[i] for i in c.selected) <= 8 for c in choices)


RANKS = tuple(
    Candidate("attn.q", "encoder", 0, "m", f"lora(rank={rank})", 64 * rank, choice="lora(rank=[1, 2, 4])")
    for rank in (1, 2, 4)
)


@pytest.mark.parametrize("how", ["first-fit", "knapsack"])
def test_of_alternatives_one_is_chosen_as_the_run_chooses(how):
    p = [0.5, 0.3, 0.2]
    (choice,) = Choices(RANKS, Rule(130, how)).advance(frames([p]), 10)
    assert choice.selected == set(Cut.of(RANKS, 130, how).select(p)) == {0}
    assert choice.parameters == 64


def test_what_goes_by_an_order_is_chosen_by_it_whatever_p_is():
    shown = with_order([0.9, 0.1, 0.2, 0.8, 0.7], [1, 4, 2, 0])  # 3 is pruned
    rule = Rule(8, "knapsack", "sensitivity")
    (choice,) = Choices(SPACE, rule).advance((shown,), 10)
    assert choice.selected == {1, 2}  # 4 does not fit beside 1, and 0 not beside both
    assert near_cut(shown, choice.selected, 9) == ([2, 1], [4, 0])
    assert str(rule) == "by sensitivity"


def test_without_its_order_nothing_is_chosen_for_what_goes_by_one():
    old, new = frames()[0], with_order(P[0], [0, 1, 2, 3, 4])
    assert Rule(8, by="sensitivity").decided([old, new]) == (new,)
    assert Rule(8).decided([old, new]) == [old, new]


def test_the_latest_choice_is_known_first_and_what_is_known_is_not_worked_out_again():
    shown, chooser = frames(), Choices(SPACE, Rule(8))
    one = chooser.advance(shown, 0)
    assert [c.frame for c in one] == [shown[-1]]
    all_of_them = chooser.advance(shown, 10)
    assert len(all_of_them) == len(shown)
    assert all_of_them[-1] is one[0]


def test_steps_that_a_resumed_run_tells_anew_are_chosen_anew():
    chooser = Choices(SPACE, Rule(8))
    before = chooser.advance(frames(), 10)
    after = chooser.advance(frames([*P[:3], [0.9, 0.1, 0.1, 0.8, 0.1]]), 10)
    assert before[-1].selected != after[-1].selected == {0, 2, 3}


def test_overlap_with_the_latest_ends_at_one_and_tells_since_when_it_stays():
    choices = Choices(SPACE, Rule(8)).advance(frames(), 10)
    latest, before = overlaps(choices)
    assert latest.x == (1.0, 2.0, 3.0, 4.0)
    assert latest.y[-1] == 1.0
    # {0, 1} against {1, 2, 3}: one of four.
    assert latest.y[0] == pytest.approx(1 / 4)
    assert len(before.x) == 3
    assert steady_since(choices) == 2
    assert steady_since([]) is None
    assert entropies(choices).y[0] == pytest.approx(0.7219281)


def test_a_delta_that_takes_over_is_told():
    assert dominant(SPACE, frozenset({0, 1})) == "lora has 100% of the selected parameters"
    assert dominant(SPACE, frozenset({0, 2})) == ""
    only = tuple(c for c in SPACE if c.delta == "lora")
    assert dominant(only, frozenset({0, 1})) == ""


def test_shares_and_the_cut():
    by_delta = shares(SPACE, frozenset({1, 2}), lambda c: c.delta)
    assert {name: (s.selected, s.candidates, s.parameters) for name, s in by_delta.items()} == {
        "lora": (1, 3, 4), "bitfit": (1, 2, 2),
    }  # fmt: skip
    last_in, first_out = near_cut(frames()[2], frozenset({1, 2, 3}), 2)
    assert (last_in, first_out) == ([3, 2], [4, 0])
    assert places_by_p(P[2]) == [5, 1, 2, 4, 3]
