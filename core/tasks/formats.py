"""The conversion of each data set's columns into the text fields that a model reads."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from core.run.tasks import Entry

Row = Mapping[str, Any]
Fields = tuple[tuple[str, str], ...]

# Columns that are read besides the fields; a label column too, unless answers are texts.
COLUMNS: dict[str, tuple[str, ...]] = {
    "superglue-copa": ("question",),
    "superglue-multirc": ("idx",),
    "superglue-wsc.fixed": ("span1_text", "span1_index", "span2_text", "span2_index"),
    "superglue-record": ("answers",),
    "squad": ("answers",),
}


def columns(entry: Entry) -> tuple[str, ...]:
    """The columns that a task reads."""
    label = () if entry.kind == "text" else ("label",)
    return (*entry.fields.split(), *COLUMNS.get(entry.name, ()), *label)


def fields(entry: Entry, row: Row, paper: bool) -> Fields:
    """The texts of a row in order, each with its field name; `paper` reproduces the paper's code."""
    if entry.name == "superglue-copa" and not paper:
        # Whether the cause is asked for or the effect decides which choice is right; the paper's code leaves it out.
        return (*_copied(entry, row), ("question", row["question"]))
    return SPECIAL[entry.name](row) if entry.name in SPECIAL else _copied(entry, row)


def answers(entry: Entry, row: Row) -> tuple[str, ...]:
    """The correct answers of a row, if answers are texts; else none."""
    if entry.kind != "text":
        return ()
    found = structured(row["answers"])
    return tuple(map(spaced, found["text"])) if entry.name == "squad" else tuple(found)


def group(row: Row) -> int:
    """The number of the question to which a row of MultiRC belongs."""
    return int(structured(row["idx"])["question"])


def structured(value: Any) -> Any:
    """A list or table; from a CSV it is parsed as JSON."""
    return json.loads(value) if isinstance(value, str) else value


def spaced(text: str) -> str:
    """A text with spaces around its punctuation, as T5 reads SQuAD."""
    # Letters, marks, numbers and underscores are no punctuation.
    padded = (c if c == "_" or c.isspace() or unicodedata.category(c)[0] in "LMN" else f" {c} " for c in text)
    return re.sub(r"\s+", " ", "".join(padded))


def _copied(entry: Entry, row: Row) -> Fields:
    return tuple((name, str(row[name])) for name in entry.fields.split())


def _multirc(row: Row) -> Fields:
    """Fields without markup. The paragraph comes last, so that truncation cuts its end."""
    plain = ((name, str(row[name]).replace("<br>", " ")) for name in ("question", "answer", "paragraph"))
    return tuple((name, re.sub("</?b>", "", text)) for name, text in plain)


def _wsc(row: Row) -> Fields:
    """The text with `* *` around the noun and `# #` around the pronoun."""
    text = str(row["text"])
    spans = [("*", str(row["span1_text"]), int(row["span1_index"]))]
    spans += [("#", str(row["span2_text"]), int(row["span2_index"]))]
    # From last to first, so that marks do not shift the words that are still to be marked.
    for mark, span, index in sorted(spans, key=lambda marked: -marked[2]):
        text = _marked(text, mark, span, index)
    return (("text", text),)


def _marked(text: str, mark: str, span: str, index: int) -> str:
    """The text with marks around the span that begins at the word of this index; unchanged if it is not there."""
    starts = [word.start() for word in re.finditer(r"\S+", text)]
    if index >= len(starts) or not text.startswith(span, starts[index]):
        return text
    start, end = starts[index], starts[index] + len(span)
    return f"{text[:start]}{mark} {span} {mark}{text[end:]}"


def _record(row: Row) -> Fields:
    """Query, entities and passage; highlights of the passage become sentences of it."""
    passage = re.sub(r"([.?!\"'])?\n@highlight\n", lambda end: f"{end[1] or '.'} ", str(row["passage"]))
    entities = ", ".join(structured(row["entities"]))
    return (("record query", str(row["query"])), ("entities", entities), ("passage", passage))


def _squad(row: Row) -> Fields:
    return tuple((name, spaced(str(row[name]))) for name in ("question", "context"))


SPECIAL: dict[str, Callable[[Row], Fields]] = {
    "superglue-multirc": _multirc,
    "superglue-wsc.fixed": _wsc,
    "superglue-record": _record,
    "squad": _squad,
}
