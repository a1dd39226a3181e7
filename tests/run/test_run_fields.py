"""Records: what the annotations of a dataclass say is what a file may hold, and what is wrong is named."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any, Literal

import pytest

from core.run.fields import LARGEST, LATER, LONGEST_TEXT, Amount, Count, Like, Made, Moment, Share, WrongError, read


@dataclass(frozen=True)
class Inner:
    total: Amount


LIKE_INNER = Like(lambda: Inner)


@dataclass(frozen=True)
class Record:
    name: str
    flag: bool
    count: Count
    whole: int
    real: float
    share: Share
    when: Moment
    kind: Literal["a", "b"]
    maybe: Count | None
    names: tuple[str, ...]
    option: str | int
    inner: Inner
    seconds: Annotated[float, Made(Inner, attrgetter("total"))]
    table: dict[str, float]
    rest: Annotated[dict[str, Any], LIKE_INNER]
    later: str = field(default="none", metadata=LATER)
    not_later: str = "here"


GOOD = {
    "name": "x", "flag": True, "count": 0, "whole": -3, "real": 1, "share": 0.5, "when": 1.7e9, "kind": "b",
    "maybe": None, "names": ["a"], "option": 3, "inner": {"total": 1.5}, "seconds": {"total": 2.5},
    "table": {"f1": 0.5}, "rest": {"total": 1.0, "more": [1]}, "not_later": "y", "unknown": {},
}  # fmt: skip


def test_a_record_is_read_with_what_its_fields_say():
    record = read(Record, GOOD)
    assert (record.names, record.inner, record.seconds, record.option) == (("a",), Inner(1.5), 2.5, 3)
    assert (record.rest, record.later, record.maybe) == ({"total": 1.0, "more": [1]}, "none", None)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", 3, "name should be a text, not 3"),
        ("name", "x" * (LONGEST_TEXT + 1), "name should be a text of at most 1,048,576 characters"),
        ("flag", 1, "flag should be true or false, not 1"),
        ("flag", "false", "flag should be true or false, not 'false'"),
        ("count", True, "count should be a whole number of 0 or more, not true"),
        ("count", 1.0, "count should be a whole number of 0 or more, not 1.0"),
        ("count", -1, "count should be a whole number of 0 or more, not -1"),
        ("count", 2**63, "count should be a whole number of 9.22337e+18 or less, not 9223372036854775808"),
        ("whole", None, "whole should be a whole number, not null"),
        ("real", math.inf, "real should be a number, not inf"),
        ("real", math.nan, "real should be a number, not nan"),
        ("real", 2 * LARGEST, "real should be a number, not 2e+100"),
        ("real", 10**400, f"real should be a number, not 1{'0' * 49}...{'0' * 50}"),
        ("real", "1", "real should be a number, not '1'"),
        ("share", 1.01, "share should be a number from 0 to 1, not 1.01"),
        ("when", 1e30, "when should be a number of 1.09951e+12 or less, not 1e+30"),
        ("kind", ["a"], "kind should be one of a, b, not a list"),
        ("maybe", "1", "maybe should be a whole number of 0 or more, not '1'"),
        ("names", "ab", "names should be a list, not 'ab'"),
        ("names", ["a", None], "names[1] should be a text, not null"),
        ("option", None, "option should be a text, not null"),
        ("inner", [], "inner should be an object, not an empty list"),
        ("inner", {}, "inner.total is missing"),
        ("inner", {"total": "x"}, "inner.total should be a number of 0 or more, not 'x'"),
        ("seconds", 3, "seconds should be an object, not 3"),
        ("table", {"f1": {}}, "table.f1 should be a number, not an object"),
        ("rest", {"total": []}, "rest.total should be a number of 0 or more, not an empty list"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_should_stand_there(key, value, said):
    with pytest.raises(WrongError) as caught:
        read(Record, GOOD | {key: value})
    assert str(caught.value) == said


def test_only_what_came_later_may_be_missing():
    with pytest.raises(WrongError, match=r"^not_later is missing$"):
        read(Record, {k: v for k, v in GOOD.items() if k != "not_later"})
