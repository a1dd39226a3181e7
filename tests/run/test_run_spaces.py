"""Spaces and patterns: what a pattern names, what it must not reach, and which mistakes are seen early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.run.errors import SpecError
from core.run.spaces import (
    LIBRARY,
    SITES,
    SpaceSpec,
    check_pattern,
    expand_braces,
    inline_space,
    library_space,
    matches,
)

# (canonical name, label, module) as a T5, a BERT and a DistilBERT have them.
Q = ("attn.q", "E3.attn.q", "encoder.block.3.layer.0.SelfAttention.q")
D_Q = ("attn.q", "D11.attn.q", "decoder.block.11.layer.0.SelfAttention.q")
BLOCK = ("block.attn", "E3.block.attn", "encoder.block.3.layer.0.SelfAttention")
NORM = ("norm.attn", "E3.norm.attn", "encoder.block.3.layer.0.layer_norm")
FINAL = ("norm.final", "D.norm.final", "decoder.final_layer_norm")
FFN = ("ffn.in", "E13.ffn.in", "encoder.block.13.layer.1.DenseReluDense.wi")
BERT_O = ("attn.o", "E0.attn.o", "bert.encoder.layer.0.attention.output.dense")
HEAD = ("head", "head", "lm_head")
SITES_HERE = (Q, D_Q, BLOCK, NORM, FINAL, FFN, BERT_O, HEAD)


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("attn.q", (Q, D_Q)),
        ("attn.{q,o}", (Q, D_Q, BERT_O)),
        ("attn.*", (Q, D_Q, BERT_O)),
        ("attn.[a-p]", (BERT_O,)),
        ("{norm.*,head}", (NORM, FINAL, HEAD)),
        ("*.attn", (BLOCK, NORM)),
        ("*", SITES_HERE),
        # Every T5 module has `block.` in its path.
        ("block.*", (BLOCK,)),
        ("block.attn", (BLOCK,)),
        # By place.
        ("E3.attn.q", (Q,)),
        ("E*.attn.q", (Q,)),
        ("?3.attn.q", (Q,)),
        ("*3.*.*", (Q, BLOCK, NORM, FFN)),
        ("D{10,11}.attn.q", (D_Q,)),
        ("[ED]1[0-3].*.*", (D_Q, FFN)),
        ("E1.attn.q", ()),
        ("D.norm.final", (FINAL,)),
        ("E3.block.*", (BLOCK,)),
        # By the end of the module's path, at its dots.
        ("SelfAttention.q", (Q, D_Q)),
        ("SelfAttention", (BLOCK,)),
        ("encoder.block.3.layer.0.SelfAttention.q", (Q,)),
        ("block.3.layer.0.SelfAttention", (BLOCK,)),
        ("layer_norm", (NORM,)),
        ("final_layer_norm", (FINAL,)),
        ("{final_,}layer_norm", (NORM, FINAL)),
        ("*layer_norm", (NORM, FINAL)),
        ("output.dense", (BERT_O,)),
        ("encoder.block.*.SelfAttention.q", (Q,)),
        ("Attention.q", ()),
        ("selfattention.q", ()),
        ("lm_head", (HEAD,)),
        ("", ()),
    ],
)
def test_a_pattern_names_these_sites_and_no_others(pattern, named):
    assert [site for site in SITES_HERE if matches(pattern, *site)] == list(named)


@pytest.mark.parametrize(
    ("pattern", "expanded"),
    [
        ("attn.q", ["attn.q"]),
        ("attn.{q,v}", ["attn.q", "attn.v"]),
        ("a.{b,c{d,e}}", ["a.b", "a.cd", "a.ce"]),
        ("{a,b}.{c,d}", ["a.c", "a.d", "b.c", "b.d"]),
        ("{ a , b }", ["a", "b"]),
        ("{a,a}", ["a"]),
        ("{a}", ["a"]),
        ("a{,b}", ["a", "ab"]),
        ("{}", [""]),
        ("a.{b", ["a.{b"]),
        ("a.b}", ["a.b}"]),
    ],
)
def test_braces_expand_as_in_a_shell(pattern, expanded):
    assert sorted(expand_braces(pattern)) == sorted(expanded)


@given(st.lists(st.text("ab.*", max_size=3), min_size=1, max_size=4), st.text("ab.", max_size=3))
def test_braces_name_what_their_parts_name(parts, module):
    together = matches("{" + ",".join(parts) + "}", "", "", module)
    assert together == any(matches(part, "", "", module) for part in parts)


@pytest.mark.parametrize(
    "pattern",
    [
        *SITES,
        *(f"E*.{site}" for site in SITES),
        "attn.{q,v}",
        "norm.*",
        "*.q",
        "D[0-9].ffn.in",
        "?1.attn.?",
        "SelfAttention.q",
        "encoder.block.3.layer.0.SelfAttention",
        "block.3.layer.0.SelfAttention",
        "transformer.h.0.attn.c_attn",
        "lm_head",
        # May be the ends of modules' paths: only a model can tell.
        "E3.atn.q",
        "ffn.out.*",
        "attn.Wqkv",
        "*.attn.{q,c_proj}",
        "block.4",
    ],
)
def test_a_sound_pattern_passes(pattern):
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("E3.attn.qq", "'E3.attn.qq': did you mean 'attn.q'"),
        ("E*.attn.{q,w}", "'E*.attn.w': did you mean 'attn.v'"),
        ("?.norm.atn", "did you mean 'norm.attn'"),
        ("cross.{q", "'cross.{q'"),
    ],
)
def test_what_looks_canonical_but_is_not_is_refused_with_the_nearest(pattern, says):
    with pytest.raises(SpecError) as caught:
        check_pattern(pattern)
    assert "no site is called" in caught.value.message
    assert says in str(caught.value)


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_every_space_of_the_library_is_sound_and_canonical(name):
    space = library_space(name)
    assert space.name == name
    assert space.groups == LIBRARY[name]
    for _, pattern, delta in space.deltas():
        check_pattern(pattern)
        assert str(delta) in str(space.groups)


def test_the_library_has_the_spaces_of_the_paper():
    groups = library_space("mix-low-rank").groups
    deltas = [{delta for deltas in group.values() for delta in deltas} for group in groups]
    assert deltas == [{"lora(rank=1)", "bitfit", "lnfit"}, {"low-rank-adapter"}]
    named = {site for site in SITES for pattern in groups[0] if matches(pattern, site, f"E0.{site}", "")}
    assert named == {s for s in SITES if s.split(".")[0] in ("attn", "ffn", "norm")}


def test_an_unknown_space_is_refused_with_the_nearest():
    with pytest.raises(SpecError, match="did you mean 'mix-low-rank'"):
        library_space("mix_low_rank")


def test_equal_spaces_compare_equal_however_they_are_written():
    one = inline_space("small", {"attn.q": ["lora( alpha=16, rank=1 )", "bitfit()"]})
    two = inline_space("small", {"attn.q": ["lora(rank=1)", "bitfit"]})
    assert one == two
    assert one.groups == ({"attn.q": ("lora(rank=1)", "bitfit")},)


def test_a_space_comes_back_from_json():
    for space in (library_space("mix-low-rank"), inline_space("small", {"E*.attn.q": ["lora"]}), library_space("none")):
        assert SpaceSpec.model_validate_json(space.model_dump_json()) == space


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"attn.q": "lora"}, 'give a list of deltas, as in ["lora(rank=1)"]'),
        ({"attn.q": [1]}, "give a list of deltas"),
        ({"attn.q": {"lora": 1}}, "give a list of deltas"),
        ({"attn.q": ["lorra"]}, "did you mean 'lora'"),
        ({"D0.attn.w": ["lora"]}, "no site is called 'D0.attn.w'"),
    ],
)
def test_a_faulty_table_is_refused(table, says):
    with pytest.raises(SpecError) as caught:
        inline_space("small", table)
    assert says in str(caught.value)


@pytest.mark.parametrize("groups", [None, 5, [5], [{"attn.q": 5}], [{"attn.q": [5]}]])
def test_damaged_groups_are_a_validation_error(groups):
    with pytest.raises(ValidationError, match="list of tables"):
        SpaceSpec.model_validate({"name": "x", "groups": groups})
