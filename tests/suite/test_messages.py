"""No message about a suite has the words of the library that checks it."""

import datetime
import re
from typing import get_args

import pytest
from pydantic_core.core_schema import ErrorType

from core.run.spec import RunSpec
from s3tui.suite.resolve_names import ANY_SPACE
from s3tui.suite.validate import TABLES, _errors, check

FOREIGN = re.compile(
    r"Input should|Pydantic|pydantic|ValidationError|Value error|Field required|instance of|datetime\.|\bNone\b"
)
LIMITS = ("gt", "ge", "lt", "le", "min_length", "max_length")
BASE = {"model": "m", "task": {"name": "icd10-chapter"}, "space": ANY_SPACE, "method": "full"}
FILE_TASK = {"path": "p", "text": ("a",), "label": "b"}


class AnyError:
    """Stands for an error of pydantic of any type."""

    def __init__(self, detail):
        self.detail = detail

    def errors(self, **_):
        return [self.detail]


@pytest.mark.parametrize("kind", [kind for kind in get_args(ErrorType) if kind not in ("missing", "too_short")])
@pytest.mark.parametrize("value", [3, "x", {"a": 1}])
def test_every_error_that_pydantic_knows_is_told_in_our_words(kind, value):
    context = {"expected": "'a' or 'b'", "error": "this"} | dict.fromkeys(LIMITS, 1)
    detail = {"type": kind, "loc": ("seed",), "input": value, "ctx": context, "msg": "Input should be good"}
    (told,) = _errors(AnyError(detail))
    assert not FOREIGN.search(told[1]), told


def test_a_list_that_is_too_short_is_told_in_our_words():
    data = BASE | {"task": FILE_TASK | {"text": ()}}
    assert check(data)[1] == [(("task", "text"), "should hold at least 1, not an empty list")]


@pytest.mark.parametrize(
    ("loc", "key"),
    [(loc, key) for loc, table in TABLES.items() for key in table.model_fields if key != "space"],
    ids=str,
)
def test_every_key_says_what_it_should_be_whatever_stands_there(loc, key):
    for value in (3, -1, 10**400, 1e400, float("nan"), "x", "", True, [], [[]], [1], {}, {"a": 1}, datetime.date.min):
        data = {name: dict(table) if isinstance(table, dict) else table for name, table in BASE.items()}
        if loc == ("task", "file"):
            data["task"] = dict(FILE_TASK)
        inner = data if not loc else data.setdefault(str(loc[0]), {})
        inner[key] = value
        for _, message in check(data)[1]:
            assert message
            assert not FOREIGN.search(message), (loc, key, value, message)


@pytest.mark.parametrize(
    ("loc", "key"),
    [(loc, key) for loc, table in TABLES.items() for key, field in table.model_fields.items() if field.is_required()],
    ids=str,
)
def test_a_missing_key_says_what_may_stand_there(loc, key):
    data = dict(BASE) | ({"task": dict(FILE_TASK)} if loc == ("task", "file") else {})
    if loc:
        data["task"] = {name: value for name, value in data["task"].items() if name != key}
    else:
        del data[key]
    if key == "path":  # without it the task is one by name
        return
    errors = check(data)[1]
    place = (*loc[:1], key)
    assert [found for found, _ in errors] == [place]
    assert errors[0][1].startswith("missing; name ")


def test_a_run_without_a_space_is_told_which_there_are(tmp_path):
    from s3tui.suite.load import load
    from s3tui.text.problems import ConfigError

    file = tmp_path / "s.toml"
    file.write_text('[experiment.wic]\nmodel = "m"\ntask = "icd10-chapter"\nbudget = 10\n')
    with pytest.raises(ConfigError) as caught:
        load(file)
    (line,) = caught.value.problems
    assert line.startswith(f"{file}: experiment.wic.space: missing; name a space of the library (mix-low-rank, ")
    assert line.endswith(" or one of [space.*]")


def test_the_required_keys_are_those_of_the_models():
    assert {name for name, field in RunSpec.model_fields.items() if field.is_required()} == {"model", "task", "space"}
