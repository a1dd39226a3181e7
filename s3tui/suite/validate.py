"""Reads tables of a suite by pydantic models and says in plain words what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.run.errors import nearest, quoted
from core.run.methods import FULL, OWN_TABLES
from core.run.spaces import LIBRARY, library_space
from core.run.spec import RunSpec
from core.run.task_spec import FileTask, NamedTask
from core.run.tasks import TASKS
from s3tui.text.problems import Key, Problems, unknown_key
from s3tui.text.toml_types import RULE

Loc = tuple[str | int, ...]
Errors = list[tuple[Loc, str]]
Tables = Mapping[Loc, type[BaseModel]]  # the models of a table and of the tables in it, by where they stand
M = TypeVar("M", bound=BaseModel)

TABLES: Tables = {
    (): RunSpec,
    **{(name,): type(RunSpec.model_fields[name].default) for name in ("search", *OWN_TABLES, "retrain")},
    ("task", "named"): NamedTask,
    ("task", "file"): FileTask,
}

MISSING = "missing"
_TASKS = f"name one ({', '.join(list(TASKS)[:3])}, ...)"
# What may stand at each key that a run cannot do without.
_REQUIRED: dict[Loc, str] = {
    ("model",): 'name one: "builtin:minilm", one on the hub, a folder, or a .gguf file',
    ("task",): f'{_TASKS}, or files of your own, as in {{ path = "FILE", text = "COLUMN", label = "COLUMN" }}',
    ("space",): f"name a space of the library ({', '.join(list(LIBRARY)[:3])}, ...) or one of [space.*]",
    ("task", "named", "name"): f"{_TASKS}, or give the path of your own files",
    ("task", "file", "path"): "name a file or a folder",
    ("task", "file", "text"): "name the columns that hold the text, in order",
    ("task", "file", "label"): "name the column that holds the label",
}

_SHOULD = {
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "string_type": "should be a text in quotes",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
    "dict_type": "should be a table",
    "greater_than": "should be more than {gt:,}",
    "greater_than_equal": "should be {ge:,} or more",
    "less_than": "should be less than {lt:,}",
    "less_than_equal": "should be {le:,} or less",
    "too_short": "should hold at least {min_length}",
    "string_too_short": "should be a text that is not empty",
    "string_too_long": "should have at most {max_length:,} characters",
    "int_parsing_size": "should be a smaller whole number",
}


def check(data: dict[str, Any]) -> tuple[RunSpec | None, Errors]:
    """The run that `data` describes, or None with every error found, each with its place.

    Checks of a whole table only happen once its values are sound, so what is wrong is replaced by something
    harmless and the rest is checked again.
    """
    data = _with_tuples(data)
    try:
        return RunSpec.model_validate(data, strict=True), []
    except ValidationError as error:
        errors = list(_errors(error))
        repaired = _repaired(data, error)
    try:
        RunSpec.model_validate(repaired, strict=True)
    except ValidationError as error:
        errors += [e for e in _errors(error) if e not in errors]
    return None, errors


def read_table(model: type[M], table: Mapping[str, Any], key: Key, problems: Problems, also: Iterable[str] = ()) -> M:
    """A table as a model. What is wrong is noted under `key`, and read as if it were not there.

    `also` are keys that have been taken out of the table, which a misspelt one may mean.
    """
    tables = _tables_in(model)
    try:
        return model.model_validate(dict(table), strict=True)
    except ValidationError as error:
        for loc, message in _errors(error, tables, also):
            problems.add((*key, *loc), message)
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
    return model.model_validate({k: v for k, v in table.items() if k not in wrong}, strict=True)


def _tables_in(model: type[BaseModel]) -> Tables:
    inner = {name: field.annotation for name, field in model.model_fields.items()}
    nested: dict[Loc, type[BaseModel]] = {
        (name,): kind for name, kind in inner.items() if isinstance(kind, type) and issubclass(kind, BaseModel)
    }
    return {(): model} | nested


def _with_tuples(value: Any) -> Any:
    """The same data with tuples for lists, which is what strict validation takes."""
    if isinstance(value, dict):
        return {k: _with_tuples(v) for k, v in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _errors(error: ValidationError, tables: Tables = TABLES, also: Iterable[str] = ()) -> Iterator[tuple[Loc, str]]:
    for detail in error.errors(include_url=False):
        loc = detail["loc"]
        if detail["type"] == "too_short" and detail["input"]:
            continue  # its items were wrong, each of which is an error of its own
        shown = loc[:1] + loc[2:] if loc[:1] == ("task",) else loc
        yield shown[: -1 if shown[-1:] == ("[key]",) else None], _in_words(loc, detail, tables, also)


def _in_words(loc: Loc, detail: Any, tables: Tables, also: Iterable[str]) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == RULE:
        return str(context["rule"])
    if kind == "missing":
        return f"{MISSING}; {_REQUIRED.get(loc, 'see docs/toml.md')}"
    if kind == "extra_forbidden":
        return unknown_key(str(loc[-1]), [*tables[loc[:-1]].model_fields, *(also if len(loc) == 1 else ())])
    if kind == "literal_error":
        known = re.findall("'([^']+)'", context["expected"])
        return f"unknown value {quoted(value)}, {nearest(str(value), known)}"
    if kind == "value_error":
        return str(context["error"]) if isinstance(value, dict) else f"{quoted(value)} will not do: {context['error']}"
    if kind in _SHOULD:
        whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in context.items()}
        return f"{_SHOULD[kind].format(**whole)}, not {quoted(value)}"
    return f"{quoted(value)} will not do"


def _repaired(data: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The data with unknown keys left out and wrong values replaced by harmless ones."""
    repaired = {k: dict(v) if isinstance(v, dict) else v for k, v in data.items()}
    for detail in error.errors(include_url=False):
        loc = detail["loc"]
        if loc[:1] == ("task",):
            repaired["task"] = {"name": "any"}
        elif loc and loc[:-1] in TABLES:
            table, name = repaired[str(loc[0])] if len(loc) > 1 else repaired, str(loc[-1])
            table.pop(name, None)
            if detail["type"] != "extra_forbidden":
                table[name] = _harmless(loc)
    return repaired


def _harmless(loc: Loc) -> Any:
    """A value with which a field causes no further error."""
    special = {"model": "any", "method": FULL.name, "space": library_space("bitfit")}
    name = str(loc[-1])
    default = TABLES[loc[:-1]].model_fields[name].default
    # Optional fields, whose default is None, are all numbers that 1 suits.
    return special.get(name, default if default is not None else 1)
