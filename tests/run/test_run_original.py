"""Structure files of the paper's code: what is read is written again, and what is written is what it would write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.run.deltas import DELTAS
from core.run.errors import SpecError
from core.run.original import ORIGINALS, to_original
from core.run.spaces import original_space
from core.run.structure import Candidate, Structure

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "gates-t5-small.json").read_bytes())
OURS = {"Lora": "lora(rank=1)", "BitFitParallel": "bitfit", "LNFit": "lnfit", "LowRankAdapter": "low-rank-adapter"}
IDS = [f"{case['alpha']}@{case['relative']}" for case in ORACLE["cases"]]

WRITTEN = [
    {
        "SelfAttention.q": {"parallel": {"Lora": {"lora_r": 1}}, "sequential": {"BitFitParallel": {}}},
        "final_layer_norm": {"parallel": {"LNFit": {}}},
    },
    {"SelfAttention": {"sequential": {"LowRankAdapter": {"reduction_factor": 16}, "Adapter": {}}}},
]


def candidate(module: str, delta: str) -> Candidate:
    return Candidate("*", "encoder", None, module, delta, 1)


def chosen(*pairs: tuple[str, str]) -> Structure:
    """A structure that has chosen all of these (module, delta)."""
    n = len(pairs)
    return Structure(tuple(candidate(*pair) for pair in pairs), (1.0,) * n, tuple(range(n)), None)


def oracle_structure(case: dict) -> Structure:
    candidates = tuple(candidate(p["key"], OURS[p["delta_type"]]) for p in ORACLE["positions"])
    return Structure(candidates, tuple(case["p_delta"]), tuple(case["selected_idx"]), None)


def read_pairs(data: object) -> set[tuple[str, str]]:
    return {(pattern, str(delta)) for _, pattern, delta in original_space("found.json", data).deltas()}


@pytest.mark.parametrize("case", ORACLE["cases"], ids=IDS)
def test_a_structure_is_written_as_the_papers_code_writes_it(case):
    ours = to_original(oracle_structure(case))
    assert json.dumps(ours) == json.dumps(case["new_structure_config"])  # keys in the same order, too


@pytest.mark.parametrize("case", ORACLE["cases"], ids=IDS)
def test_what_is_written_is_read_as_the_same_modules_and_deltas(case):
    structure = oracle_structure(case)
    written = json.loads(json.dumps(to_original(structure)))
    assert read_pairs(written) == {(c.module, c.delta) for c in structure.chosen}


def test_every_delta_with_its_arguments_survives_the_round_trip():
    pairs = {
        ("a.q", "lora"),
        ("a.k", "lora(rank=2)"),
        ("a.v", "lora(rank=2, alpha=4)"),
        ("a.q", "bitfit"),
        ("n", "lnfit"),
        ("a", "adapter(bottleneck=8)"),
        ("f", "adapter"),
        ("f", "low-rank-adapter(reduction=8, rank=2)"),
        ("a", "low-rank-adapter"),
        ("a", "compacter"),
        ("f", "compacter(reduction=8, division=2, rank=2)"),
        ("encoder", "soft-prompt"),
        ("decoder", "soft-prompt(length=20)"),
    }
    assert {delta.partition("(")[0] for _, delta in pairs} == set(ORIGINALS)
    assert read_pairs(to_original(chosen(*pairs))) == pairs


def test_a_module_comes_in_a_later_group_than_what_is_inside_it():
    written = to_original(chosen(("a", "adapter"), ("a.b.q", "lora"), ("a.b", "adapter"), ("ab", "adapter")))
    assert [list(group) for group in written] == [["a.b.q", "ab"], ["a.b"], ["a"]]


def test_an_empty_structure_is_an_empty_group():
    assert to_original(chosen()) == [{}]


def test_defaults_are_left_out_as_in_the_papers_files():
    assert to_original(chosen(("q", "lora"))) == [{"q": {"parallel": {"Lora": {}}}}]


def test_two_deltas_of_a_kind_at_one_module_are_refused_rather_than_lost():
    with pytest.raises(SpecError, match=r"a\.q has more than one 'lora'"):
        to_original(chosen(("a.q", "lora(rank=1)"), ("a.q", "lora(rank=2)")))


def test_a_file_is_read_group_by_group_the_parallel_first():
    space = original_space("mix.json", WRITTEN)
    assert space.name == "mix.json"
    assert space.groups == (
        {"SelfAttention.q": ("lora(rank=1)", "bitfit"), "final_layer_norm": ("lnfit",)},
        {"SelfAttention": ("low-rank-adapter(reduction=16)", "adapter")},
    )
    swapped = {"q": {"sequential": {"BitFitParallel": {}}, "parallel": {"Lora": {}}}}
    assert original_space("x", swapped).groups == ({"q": ("lora", "bitfit")},)


def test_names_of_deltas_and_arguments_are_those_of_the_language():
    assert set(ORIGINALS) <= set(DELTAS)
    for name, original in ORIGINALS.items():
        assert set(original.arguments) == set(DELTAS[name].arguments)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (5, "not a structure file"),
        ([5], "not a structure file"),
        ([{"q": 5}], "not a structure file"),
        ([{"q": {"parallel": ["Lora"]}}], "not a structure file"),
        ([{"q": {"parallel": {"Lora": 1}}}], "not a structure file"),
        ([{"q": {"parallel": {"Lora": "lora_r"}}}], "not a structure file"),
        ([{"q": {"paralel": {"Lora": {}}}}], "did you mean 'parallel'"),
        ([{"q": {"parallel": {"Lorra": {}}}}], "did you mean 'Lora'"),
        ([{"q": {"parallel": {"Lora": {"r": 1}}}}], "lora_r"),
        ([{"q": {"parallel": {"Lora": {"lora_r": 0}}}}], "1 or more"),
        ([{"q": {"parallel": {"Lora": {"lora_r": "1"}}}}], "1 or more"),
        ([{"q": {"sequential": {"BitFitParallel": {"bias": 1}}}}], "known: none"),
        # There it is a function of the module's input, here of its output.
        ([{"SelfAttention": {"parallel": {"Adapter": {}}}}], "can only be sequential"),
        ([{"q": {"sequential": {"Lora": {}}}}], "can only be parallel"),
        # It would double the hidden states.
        ([{"q": {"sequential": {"BitFitSequential": {}}}}], "BitFitParallel"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_name_of_the_file(data, says):
    with pytest.raises(SpecError, match=says) as caught:
        original_space("found.json", data)
    assert str(caught.value).startswith("found.json")
    assert caught.value.hint


def test_a_file_of_one_group_may_stand_without_the_list():
    assert original_space("x", WRITTEN[0]).groups == original_space("x", WRITTEN[:1]).groups
