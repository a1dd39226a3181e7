"""Verdicts on searches: reference values by hand, for each meaning of p."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.run.methods import OWN
from core.run.structure import Candidate, Structure
from core.run.verdict import MEANINGS, entropy, flatness, mean_entropy, verdict

SIZES = (10, 10, 20, 20, 20, 40)


def candidates(count):
    return tuple(
        Candidate("attn.q", "encoder", i, f"layer.{i}.q", "bitfit", SIZES[i % len(SIZES)]) for i in range(count)
    )


def structure(p, selected, budget=40):
    return Structure(candidates(len(p)), tuple(p), tuple(selected), budget, "m")


RANKS = tuple(
    Candidate("attn.q", "encoder", layer, f"layer.{layer}.q", f"lora(rank={rank})", 64 * rank, "lora(rank=[1, 2])")
    for layer in range(3)
    for rank in (1, 2)
)


def test_entropy_is_that_of_a_coin():
    assert mean_entropy([0.5, 0.5]) == 1.0
    assert mean_entropy([0.0, 1.0]) == 0.0
    assert entropy(0.2) == pytest.approx(0.7219281)
    assert flatness([0.3] * 4) == pytest.approx(1.0)
    assert flatness([0.0, 0.0, 1.0, 1.0]) == 0.0
    # H(0.1) = 0.4689956, H(0.5) = 1, and H of their mean, 0.3, is 0.8812909.
    assert flatness([0.1, 0.5]) == pytest.approx((0.4689956 + 1) / 2 / 0.8812909)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_no_p_is_flatter_than_a_constant_one(p):
    assert 0 <= flatness(p) <= 1 + 1e-9


def test_a_search_has_decided_when_nine_in_ten_of_the_chosen_have_a_p_above_nine_tenths():
    p = [0.99] * 9 + [0.5] + [0.01] * 10
    found = verdict(structure(p, range(10), 200), "p")
    assert (found.word, str(found)) == ("decided", "decided: 9 of 10 chosen candidates have p > 0.9")
    assert found.numbers["entropy"] == pytest.approx(
        (9 * entropy(0.99) + 1 + 10 * entropy(0.01)) / 20 / entropy((9 * 0.99 + 0.5 + 0.1) / 20)
    )
    assert found.numbers["mean_p"] == pytest.approx((9 * 0.99 + 0.5) / 10)
    # Candidates cost 3 x 120 + 10 + 10 parameters.
    assert found.numbers["flat_p"] == pytest.approx(200 / 380)
    assert (found.numbers["sure"], found.numbers["all_sure"]) == (9, 9)


@pytest.mark.parametrize(
    ("p", "word", "sentence"),
    [
        ([0.95, 0.4, 0.1, 0.02, 0.02], "partly", "partly decided: 1 of 2 chosen candidates have p > 0.9"),
        ([0.9, 0.4, 0.1, 0.02, 0.02], "undecided", "undecided: 0 of 2 chosen candidates have p > 0.9"),
        (
            [0.31, 0.3, 0.29, 0.3, 0.3],
            "near chance",
            "near chance: p is almost flat (100% of the entropy of equal gates), the structure is hardly better "
            "founded than a random one",
        ),
    ],
)
def test_less_decided_searches_are_told_apart(p, word, sentence):
    found = verdict(structure(p, (0, 1)), "p")
    assert (found.word, found.sentence) == (word, sentence)
    assert found.is_poor == (word != "partly")


def test_gates_that_are_all_open_because_nearly_everything_fits_decide_nothing():
    """The flat p of a budget of 95 of 100 parameters is 0.95, above what counts as sure elsewhere."""
    assert verdict(structure([0.95] * 5, range(4), 75), "p").word == "near chance"


def test_where_the_whole_space_fits_there_is_no_choice():
    found = verdict(structure([0.5] * 5, range(5), 80), "p")
    assert (found.word, found.is_poor) == ("no choice", False)
    # Of alternatives the largest counts: 3 x 128.
    ranks = Structure(RANKS, (0.5,) * 6, (1, 3, 5), 384, "m")
    assert verdict(ranks, "p").word == "no choice"


def test_a_search_that_prunes_is_finished_when_nothing_else_is_left_or_its_prunings_are_done():
    """A rank beside the chosen one is no module of its own; of a pruned module all ranks have p = 0."""
    done = Structure(RANKS, (0.4, 0.2, 0.0, 0.0, 0.0, 0.0), (0,), 100, "m")
    assert str(verdict(done, "sensitivity")) == "pruned: down to 1 chosen module"
    cut_short = Structure(RANKS, (0.4, 0.2, 0.1, 0.0, 0.3, 0.3), (0,), 100, "m")
    found = verdict(cut_short, "sensitivity")
    assert str(found) == "unfinished: 2 modules remained to be pruned beside the 1 chosen one"
    assert (found.is_poor, dict(found.numbers)) == (True, {"chosen": 1, "unpruned": 2})


def test_prunings_that_were_counted_say_whether_a_search_was_cut_short():
    """The last pruning may leave modules that do not fit; and with some left undone, all that remains may fit."""
    left = Structure(RANKS, (0.4, 0.2, 0.1, 0.0, 0.3, 0.3), (0,), 100, "m")
    assert verdict(left, "sensitivity", 0).word == "pruned"
    found = verdict(left, "sensitivity", 1)
    assert str(found) == "unfinished: 1 pruning left undone, 2 modules remained to be pruned beside the 1 chosen one"
    assert (found.is_poor, found.numbers["prunings_left"]) == (True, 1)
    assert verdict(Structure(RANKS, (0.4, 0.2, 0, 0, 0, 0), (0,), 100, "m"), "sensitivity", 3).word == "unfinished"


def test_scores_are_compared_with_the_parameters_that_hold_them():
    found = verdict(structure([1.0, 0.5, 0.3, 0.1, 0.1], (0, 1)), "saliency")
    # 1.5 of 2.0, with 20 of 80 parameters.
    assert str(found) == "scored: 2 of 5 candidates hold 75% of all scores, with 25% of all parameters"
    assert not found.is_poor
    assert verdict(structure([0.0] * 5, (0, 1)), "saliency") is None


def test_there_is_no_verdict_on_nothing_and_on_what_is_selected_by_something_unknown():
    assert verdict(structure([0.5] * 5, ()), "p") is None
    assert verdict(Structure((), (), (), None), "p") is None
    assert verdict(structure([0.5] * 5, (0,)), "a quantity of a package") is None


@pytest.mark.parametrize("row", [row for row in OWN if row.searches], ids=lambda row: row.name)
def test_every_search_has_a_verdict_and_each_word_a_meaning(row):
    found = verdict(structure([0.9, 0.2, 0.1, 0.1, 0.1], (0, 1)), row.by)
    assert found.word in MEANINGS
    assert all(math.isfinite(value) for value in found.to_json()["numbers"].values())
