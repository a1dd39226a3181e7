"""Writes a report as Markdown, with pictures as text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from s3tui.report.blocks import Block, Heading, Picture, Table, Text
from s3tui.text.sanitize import clean


def markdown(blocks: Iterable[Block]) -> str:
    """The Markdown text of the report."""
    return "\n\n".join(map(_written, blocks)) + "\n"


def _written(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_plain(block.text)}"
    if isinstance(block, Text):
        return _plain(block.text)
    if isinstance(block, Table):
        return _table(block)
    return _picture(block)


def _table(table: Table) -> str:
    rules = ["---:" if i in table.numbers else "---" for i in range(len(table.head))]
    rows = [[f"**{_plain(c)}**" if c and i in table.strong else _plain(c) for c in r] for i, r in enumerate(table.rows)]
    lines = [[_plain(cell) for cell in table.head], rules, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _picture(picture: Picture) -> str:
    text = "\n".join(clean(line).rstrip() for line in picture.text().splitlines())
    # The fence must be longer than any run of backticks in the text.
    fence = max(("```", *(f"{run}`" for run in re.findall("`{3,}", text))), key=len)
    return f"{fence}text\n{text}\n{fence}\n\n{_plain(picture.caption)}"


def _plain(text: str) -> str:
    """The text escaped for Markdown and HTML."""
    return re.sub(r"([\\`*_\[\]<>|#~&$!])", r"\\\1", clean(text))
