"""Rewrites the tables of docs/toml.md from the settings, the spaces and the deltas themselves.

    python docs/generate.py

What stands between `<!-- generated: NAME -->` and `<!-- end -->` is replaced; the rest is written by hand. The texts
are those of the fields in `core.run.spec`, so that there is one place to write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from core.run.deltas import OWN as DELTAS
from core.run.methods import OWN_TABLES
from core.run.spaces import FAMILIES, LIBRARY, SITES
from core.run.spec import PAPER_RUN, PAPER_TASK, RunSpec
from core.run.task_spec import FileTask, NamedTask
from core.run.tasks import ENTRIES
from core.run.training import LARGEST, MOST, PAPER_RETRAIN, PAPER_SEARCH, RetrainSettings, SearchSettings

PAGE = Path(__file__).with_name("toml.md")
BLOCK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

# Fields that are models of their own, and what one writes for them.
TABLES = ("search", *OWN_TABLES, "retrain")
WARMUP = "whole number, or a share below 1"
WRITTEN_AS = {
    "task": "text or table",
    "space": "text",
    "warmup_steps": WARMUP,
    "alpha_warmup_steps": WARMUP,
    **dict.fromkeys(TABLES, "table"),
}

SITE_FAMILIES = {
    "attn": "Self-attention: the linear layers of query, key, value and output; `attn.qkv` where one layer "
    "makes all three.",
    "cross": "The same of a decoder's attention to its encoder.",
    "ffn": "Feed-forward: the linear layer in, its gate where the model has one, and the one out; `ffn.gate_in` where "
    "one layer makes both.",
    "norm": "The normalisation layer of that sub-layer; `norm.final` is the one at the end of a stack, `norm.q` and "
    "`norm.k` are those of queries and keys, `norm.attn_out` and `norm.ffn_out` those that end a sub-layer.",
    "block": "A whole sub-layer: its output, before the residual is added.",
    "input": "What the network, or its encoder, reads: the tokens, embedded. It is in no layer.",
    "head": "The output layer of a language model. It is in no stack and no layer.",
}


def page(text: str) -> str:
    """The page with every generated part replaced; raises KeyError for one that is unknown or missing."""
    missing = PARTS.keys() - {name for _, name, _ in BLOCK.findall(text)}
    if missing:
        raise KeyError(f"{PAGE.name} lacks the generated parts {sorted(missing)}")
    return BLOCK.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}", text)


def keys(model: type[BaseModel]) -> str:
    """A table of the keys of some settings."""
    schema = model.model_json_schema()["properties"]
    rows = [
        (f"`{name}`", WRITTEN_AS.get(name) or values(schema[name]), default(model, name), field.description or "")
        for name, field in model.model_fields.items()
    ]
    return table(("key", "values", "default", "meaning"), rows)


def values(schema: dict[str, Any]) -> str:
    """What a key takes, in words, from its JSON schema."""
    if "anyOf" in schema:
        return values(schema["anyOf"][0])  # the other one is null: the key may be left out
    if "enum" in schema:
        *first, last = map(code, schema["enum"])
        return f"{', '.join(first)} or {last}"
    words = {
        "string": "text",
        "boolean": "`true` or `false`",
        "array": "list of texts",
        "integer": "whole number",
        "number": "number",
    }
    word = words[schema["type"]]
    if "exclusiveMinimum" in schema:
        return f"{word} above {schema['exclusiveMinimum']:g}"
    low, high = schema.get("minimum"), schema.get("maximum")
    low = None if low is not None and low <= -LARGEST else low
    high = None if high is not None and high >= MOST else high  # the page names the bounds of all numbers once
    if low is not None and high is not None:
        return f"{word} from {low:g} to {high:g}"
    if high is not None:
        return f"{word}, {high:g} or less"
    return f"{word}, {low:g} or more" if low is not None else word


def default(model: type[BaseModel], name: str) -> str:
    """The default of a key as one would write it."""
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    return "none" if field.default is None else code(field.default)


def code(value: Any) -> str:
    """A value as TOML writes it."""
    return f"`{toml(value)}`"


def toml(value: Any) -> str:
    """A value as TOML writes it, without the marks of code."""
    if isinstance(value, BaseModel):
        inside = ", ".join(f"{key} = {toml(v)}" for key, v in value.model_dump(exclude_unset=True).items())
        return f"{{ {inside} }}"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def preset() -> str:
    """What the preset stands for, beside our own choices."""
    rows = [(f"`{key}`", code(value), default(RunSpec, key)) for key, value in PAPER_RUN.items()]
    rows += [(f"`task.{key}`", code(value), default(NamedTask, key)) for key, value in PAPER_TASK.items()]
    rows += [(f"`search.{key}`", code(value), default(SearchSettings, key)) for key, value in PAPER_SEARCH.items()]
    rows += [(f"`retrain.{key}`", code(value), default(RetrainSettings, key)) for key, value in PAPER_RETRAIN.items()]
    return table(("key", '`preset = "paper"`', "otherwise"), rows)


def tasks() -> str:
    """The tasks of the paper."""
    rows = [
        (f"`{e.name}`", e.fields, ", ".join(e.labels) or e.kind, ", ".join(e.metrics), e.size, str(e.max_length))
        for e in ENTRIES
    ]
    return table(("name", "columns, in order", "answers", "metrics", "size", "length"), rows)


def spaces() -> str:
    """The library of spaces."""
    rows = []
    for name, groups in LIBRARY.items():
        lines = [f"`{pattern}`: {listed(deltas)}" for group in groups for pattern, deltas in group.items()]
        rows.append((f"`{name}`", "<br>".join(lines) or "nothing, for `full`"))
    return table(("space", "sites and what may stand there"), rows)


def deltas() -> str:
    """The deltas with their arguments."""
    rows = []
    for delta in DELTAS:
        given = ", ".join(f"`{key}={a.default}`{' or a list' * a.listed}" for key, a in delta.arguments.items())
        theirs = f"`{delta.original.name}`" if delta.original else ""
        rows.append((f"`{delta.name}`", given or "none", delta.about, theirs))
    return table(("delta", "arguments and defaults", "what it is", "in the paper's files"), rows)


def sites() -> str:
    """The canonical sites, family by family."""
    rows = [(listed(s for s in SITES if s.split(".")[0] == family), SITE_FAMILIES[family]) for family in FAMILIES]
    return table(("sites", "what they are"), rows)


def listed(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
    "run": lambda: keys(RunSpec),
    "preset": preset,
    "named-task": lambda: keys(NamedTask),
    "tasks": tasks,
    "file-task": lambda: keys(FileTask),
    "search": lambda: keys(SearchSettings),
    **{name: partial(keys, type(RunSpec.model_fields[name].default)) for name in OWN_TABLES},
    "retrain": lambda: keys(RetrainSettings),
    "spaces": spaces,
    "deltas": deltas,
    "sites": sites,
}


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
