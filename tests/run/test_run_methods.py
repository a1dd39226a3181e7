"""The methods are one table: rows that hold together, and no other place that knows a method by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.run.given import awaited
from core.run.methods import METHODS, OWN, OWN_TABLES, method_of
from core.run.plugins import resolve
from core.run.spaces import library_space
from core.run.spec import RunSpec

ROOT = Path(__file__).parents[2]
NAMES = {row.name for row in OWN}
ROWS = pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)


def spec(**changes):
    settings = {"model": "m", "task": {"name": "rte"}, "space": library_space("bitfit"), "budget": 100}
    return RunSpec.model_validate(settings | changes)


def strings(node: ast.AST) -> list[str]:
    """The texts of a constant, or of a literal list of constants."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return [one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def is_method(node: ast.AST) -> bool:
    """`method`, `run.method`, `spec["method"]`, `spec.get("method")`."""
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr) == "method"
    if isinstance(node, ast.Subscript):
        return strings(node.slice) == ["method"]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        return bool(node.args) and strings(node.args[0]) == ["method"]
    return False


def asked_by_name(tree: ast.AST) -> Iterator[int]:
    """The lines that decide something by the name of a method: comparisons, cases, tables of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            told = [text for side in sides for text in strings(side)]
            if (told and any(map(is_method, sides))) or NAMES & set(told):
                yield node.lineno
        elif isinstance(node, ast.MatchValue):
            if NAMES & set(strings(node.value)):
                yield node.value.lineno
        elif isinstance(node, ast.Dict | ast.Tuple | ast.List | ast.Set):
            texts = strings(node) if not isinstance(node, ast.Dict) else [t for k in node.keys if k for t in strings(k)]
            if "s3" in texts or len(NAMES & set(texts)) > 1:
                yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        'x = spec.method == "other"',
        'x = run["method"] != "s3"',
        'x = spec.get("method") in ("a", "b")',
        'x = name in {"random", "b"}',
        'match name:\n    case "s3":\n        pass',
        'x = {"s3": 1}',
        'x = ("random", "fixed")',
    ],
)
def test_such_lines_are_found(line):
    assert list(asked_by_name(ast.parse(line)))


def test_no_other_place_asks_for_a_method_by_its_name():
    files = [path for part in ("core", "s3tui") for path in (ROOT / part).rglob("*.py")]
    assert len(files) > 200
    table = ROOT / "core" / "run" / "methods.py"
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        if path != table
        for line in asked_by_name(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found


@ROWS
def test_what_a_row_says_holds_together(row):
    assert METHODS[row.name] is method_of(row.name) is row
    assert not row.gates or row.searches
    assert row.by == "p" or row.searches
    assert not (row.baseline and row.searches)
    assert bool(row.code) == (row.space != "none")
    assert not row.searches or (row.source and row.title)


@ROWS
def test_the_settings_that_a_row_names_are_there(row):
    fields = RunSpec.model_fields
    if row.searches:
        assert hasattr(fields[row.length].default, "max_steps")
    if row.settings:
        assert row.settings in fields
        assert row.settings in OWN_TABLES


@ROWS
def test_the_code_of_a_row_can_be_imported(row):
    if row.code:
        assert callable(resolve(row.code, row.name))


@ROWS
def test_a_budget_is_asked_for_where_it_is_needed(row):
    if row.budget == "needed":
        with pytest.raises(ValidationError, match=f"method '{row.name}' needs a budget"):
            spec(method=row.name, budget=None)
    else:
        assert spec(method=row.name, budget=None).budget is None


@ROWS
def test_only_a_given_structure_is_waited_for(row):
    run = spec(method=row.name).model_copy(update={"space": library_space("none").model_copy(update={"name": "run:a"})})
    assert awaited(run) == ("a" if row.space == "given" else None)


def test_a_method_that_is_not_known_here_rules_nothing_out():
    for name in ("of-tomorrow", "", None, ["s3"]):
        row = method_of(name)
        assert (row.searches, row.baseline, row.gates, row.by, row.code) == (False, False, True, "p", "")
