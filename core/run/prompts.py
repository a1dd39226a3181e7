"""The prompts that a run can ask for: the paper's format, the tokenizer's chat template, or a template of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

PAPER, CHAT = "paper", "chat"
EXAMPLE = '"{premise} True or false? {hypothesis}\\nanswer: "'


def check_prompt(prompt: str) -> None:
    """Raise ValueError unless this is `paper`, `chat`, or a template that names a field."""
    if prompt not in (PAPER, CHAT) and not fields_of(prompt):
        raise ValueError(f"known: paper, chat, or a template that names columns in braces, as in {EXAMPLE}")


def fields_of(template: str) -> tuple[str, ...]:
    """The fields that a template names, in order. A field is its name in braces; `{{` and `}}` are braces as text."""
    return tuple(name for _, name in _parts(template) if name is not None)


def filled(template: str, fields: Mapping[str, str]) -> str:
    """The template with the text of each field for its name."""
    return "".join(text + ("" if name is None else fields[name]) for text, name in _parts(template))


def escaped(text: str) -> str:
    """A text as it stands in a template, in which it names no field."""
    return re.sub(r"([{}])", r"\1\1", text)


def _parts(template: str) -> list[tuple[str, str | None]]:
    """Pieces of text, each with the field after it, if there is one; raises ValueError for braces that name none."""
    parts = []
    try:
        for text, name, form, conversion in Formatter().parse(template):
            if name == "" or form or conversion:
                raise ValueError("a field is the name of a column in braces, without more")
            parts.append((text, name))
    except ValueError as error:
        raise ValueError(f"{error}; a brace that is text is written twice: {{{{ or }}}}") from None
    return parts
