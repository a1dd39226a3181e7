"""The order in which a whole space is cut evenly over the layers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.run.selection import even_order
from core.run.spaces import LIBRARY
from core.run.structure import Candidate
from core.search.methods.unsearched import evenly, last_layers_first


def candidate(layer: int, site: str, delta: str = "bitfit", parameters: int = 8, choice: str = "") -> Candidate:
    return Candidate(site, "encoder", layer, f"layer.{layer}.{site}", delta, parameters, choice)


@given(st.integers(1, 9), st.integers(1, 5), st.data())
def test_every_beginning_has_as_many_of_each_layer_up_to_one(layers, kinds, data):
    places = [layer for layer in range(layers) for _ in range(kinds)]
    order = even_order(places)
    assert sorted(order) == list(range(len(places)))
    taken = Counter(places[i] for i in order[: data.draw(st.integers(0, len(places)))])
    counts = [taken[layer] for layer in range(layers)]
    assert max(counts) - min(counts) <= 1


def test_layers_come_as_far_apart_as_they_can_and_no_kind_is_preferred():
    order = even_order([layer for layer in range(6) for _ in range(2)])
    assert [i // 2 for i in order[:6]] == [5, 0, 3, 4, 2, 1]
    assert Counter(i % 2 for i in order[:6]) == {0: 3, 1: 3}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.integers(1, 40)), min_size=1), st.integers(0, 200)
)
def test_neither_order_exceeds_the_budget(rows, room):
    candidates = [candidate(layer, f"{site}{i}", parameters=n) for i, (layer, site, n) in enumerate(rows)]
    for cut in (evenly, last_layers_first):
        assert sum(candidates[i].parameters for i in cut(candidates, room)) <= room


@pytest.mark.parametrize(("room", "ranks"), [(15, [1]), (20, [1, 1]), (79, [2, 2, 2]), (200, [4, 4, 4])])
def test_of_alternatives_all_modules_have_the_largest_with_which_all_fit(room, ranks):
    choice = "lora(rank=[1, 2, 4])"
    candidates = [candidate(i, "attn.q", f"lora(rank={r})", 10 * r, choice) for i in range(3) for r in (1, 2, 4)]
    assert [candidates[i].parameters // 10 for i in evenly(candidates, room)] == ranks


def test_the_spaces_of_parts_are_in_the_library():
    assert LIBRARY["lora-mlp"] == ({"ffn.{in,gate,out,gate_in}": ("lora",)},)
    assert {"bitfit-v", "lora-all"} <= LIBRARY.keys()
