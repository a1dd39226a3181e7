"""The summary of a task's data as short lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_LABELS = 8  # named in a line

Look = dict[str, Any]


def lines(look: Look) -> Iterator[str]:
    """A summary in a few short lines: rows, labels, lengths."""
    splits = {split: found["rows"] for split, found in look["splits"].items()}
    if splits:
        rows = ", ".join(f"{split} {count:,}" for split, count in splits.items())
        yield f"{sum(splits.values()):,} rows: {rows}"
    if look["kind"] == "regression":
        yield "regression: a number is predicted"
    if look.get("labels"):
        yield _labels(look["labels"])
    for label, found in look["lengths"].items():
        yield _lengths(label.replace(found["model"], Path(found["model"]).name, 1), found)


def _labels(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:MOST_LABELS]
    more = f", and {len(counts) - len(most):,} more" if len(counts) > len(most) else ""
    return f"{len(counts):,} classes: {', '.join(f'{label!r} {count:,}' for label, count in most)}{more}"


def _lengths(label: str, found: dict[str, Any]) -> str:
    if "unknown" in found:
        return f"tokens: unknown, as {found['unknown']}"
    sampled = f" of {found['texts']:,} sampled texts" if found["sampled"] else ""
    cut = f"{found['cut']:,}{sampled} are cut" if found["cut"] else f"none{sampled} is cut"
    lengths = f"median {found['median']:,}, longest {found['longest']:,}"
    return f"tokens of {label}: {lengths}; {cut} at {found['max_length']:,}"


def examples(look: Look) -> Iterator[str]:
    """The first rows, a line each."""
    for one in look["examples"]:
        text = " | ".join(" ".join(text.split())[:70] for text in one["text"].values())
        yield f"example: {text}  ->  {one['label']}"
