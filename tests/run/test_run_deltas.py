"""The language of deltas: one canonical way to write each, and a clear sentence about every mistake."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.run.deltas import OWN, make_delta, parse_delta
from core.run.errors import SpecError

ARGUMENTS = {row.name: row.arguments for row in OWN}


@st.composite
def written(draw) -> str:
    """Any delta, with some of its arguments in any order."""
    name = draw(st.sampled_from(sorted(ARGUMENTS)))
    keys = draw(st.lists(st.sampled_from(sorted(ARGUMENTS[name]) or [""]), unique=True))
    values = {key: draw(st.integers(1, 40)) for key in keys if key}
    return f"{name}({', '.join(f'{k}={v}' for k, v in values.items())})"


@given(written())
def test_what_is_written_canonically_reads_as_the_same_delta(text):
    delta = parse_delta(text)
    assert parse_delta(str(delta)) == delta
    assert str(parse_delta(str(delta))) == str(delta)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("lora", "lora"),
        ("lora()", "lora"),
        (" lora ( rank = 1 ) ", "lora(rank=1)"),
        ("lora(alpha=4,rank=1)", "lora(rank=1, alpha=4)"),
        ("lora(rank=8, alpha=16)", "lora"),
        ("lora(rank=2, alpha=16)", "lora(rank=2)"),
        ("lora(rank=0x10,)", "lora(rank=16)"),
        ("low-rank-adapter(rank=2)", "low-rank-adapter(rank=2)"),
        ("bitfit()", "bitfit"),
        ("lora(rank=[8,1, 4,1])", "lora(rank=[1, 4, 8])"),
        ("lora(rank=[1])", "lora(rank=1)"),
        ("lora(rank=[8])", "lora"),
    ],
)
def test_equal_deltas_are_written_equally(text, canonical):
    assert str(parse_delta(text)) == canonical
    assert parse_delta(text) == parse_delta(canonical)


def test_arguments_are_given_or_default():
    delta = parse_delta("lora(rank=1)")
    assert (delta["rank"], delta["alpha"]) == (1, 16)
    assert make_delta("lora", {"alpha": 4, "rank": 8}).arguments == (("alpha", 4),)


def test_a_list_is_a_choice_of_one_delta_for_each_value():
    assert [str(d) for d in parse_delta("lora(alpha=4, rank=[8, 2])").alternatives] == [
        "lora(rank=2, alpha=4)",
        "lora(alpha=4)",
    ]
    assert [str(d) for d in parse_delta("lora(rank=2)").alternatives] == ["lora(rank=2)"]


def test_every_delta_is_described():
    assert all(row.about.endswith(".") for row in OWN)
    assert len({row.name for row in OWN}) == len({row.short or row.name for row in OWN}) == len(OWN)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "unknown delta ''"),
        ("lorra", "did you mean 'lora'"),
        ("LoRA", "unknown delta 'LoRA'"),
        ("lora(r=1)", "has no argument 'r': known: rank, alpha"),
        ("bitfit(rank=1)", "bitfit takes none"),
        ("lora(rank=0)", "1 or more"),
        ("lora(rank=-1)", "1 or more"),
        ("lora(rank=1.5)", "1 or more"),
        ("lora(rank=True)", "1 or more"),
        ("lora(rank='1')", "1 or more"),
        ("lora(rank=[])", "1 or more"),
        ("lora(rank=[1, 0])", "1 or more"),
        ("lora(rank=[1, '2'])", "1 or more"),
        ("lora(alpha=[1, 2])", "of lora, rank may be one"),
        ("compacter(rank=[1, 2])", "compacter has no argument that may be"),
        ("lora(1)", "cannot read"),
        ("lora(rank)", "cannot read"),
        ("lora(rank=r)", "cannot read"),
        ("lora(rank=1+1)", "cannot read"),
        ("lora(rank={[]: 1})", "cannot read"),
        ("lora(rank=__import__('os').getpid())", "cannot read"),
        ("lora(**{'rank': 1})", "cannot read"),
        ("lora(rank=1", "cannot read"),
        ("lora(rank=1))", "cannot read"),
        ("lora(rank=1) + lora(rank=2)", "cannot read"),
        ("lora(rank=1)(alpha=2)", "cannot read"),
        ("lora(rank=1).scaled(alpha=2)", "cannot read"),
        ("lora(rank=1, rank=2)", "cannot read"),
        ("lora(\0)", "cannot read"),
        ("lora(rank=" + "(" * 900, "cannot read"),
        ("lora(rank=" + "[" * 3000, "too long"),
        ("lora(rank=" + "-" * 100_000 + "1)", "too long"),
        (f"lora(rank={10**30})", "at most 65,536"),
    ],
    ids=lambda value: value[:40].replace("\0", "NUL"),
)
def test_every_mistake_is_told_with_what_would_be_right(text, says):
    with pytest.raises(SpecError) as caught:
        parse_delta(text)
    assert says in str(caught.value)
    assert caught.value.hint


@given(st.text(max_size=30), st.sampled_from(["", "lora(", "lora(rank="]))
def test_any_other_text_raises_nothing_but_our_own_error(text, start):
    with contextlib.suppress(SpecError):
        assert str(parse_delta(start + text)).startswith(tuple(ARGUMENTS))
