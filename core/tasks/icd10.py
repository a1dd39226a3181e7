"""A task that needs no download: classify short medical texts by their chapter of ICD-10-CM.

ICD-10-CM is the classification of diseases in use in the United States, in the public domain. Its text comes with
the package simple-icd-10-cm; the rows are those of the release that is installed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from core.run.errors import DataError, SpecError
from core.run.task_spec import NamedTask
from core.tasks.metrics import BY_KIND
from core.tasks.order import permutation, three_way
from core.tasks.task import Example, Task

# A chapter needs texts for training, validation and test. Chapter 22 (special purposes) has 11, the next
# smallest 784.
MINIMUM_TEXTS = 50
MAX_LENGTH = 32  # tokens; the texts are ten on average


def load(spec: NamedTask, data_seed: int) -> Task:
    """Short clinical texts labelled by chapter, at most `per_class` of each chapter over all splits.

    A larger `per_class` adds texts to those of a smaller one, though their splits may change.
    """
    chapters = {title: _draw(texts, spec.per_class, data_seed) for title, texts in _chapters().items()}
    rows = [Example((("text", text),), label) for label, texts in enumerate(chapters.values()) for text in texts]
    splits = three_way([row.label for row in rows], data_seed)
    if not splits["test"]:
        raise SpecError(f"task {spec.name!r}: per_class = {spec.per_class} leaves nothing to test on", "3 is the least")
    return Task(
        name=spec.name,
        kind="classification",
        labels=tuple(chapters),
        splits={split: tuple(rows[i] for i in members) for split, members in splits.items()},
        max_length=spec.max_length or MAX_LENGTH,
        metrics=BY_KIND["classification"],
    )


def release() -> str | None:
    """The names and checksums of all files of the package that the texts come with; None where it is not installed."""
    try:
        return distribution("simple-icd-10-cm").read_text("RECORD")
    except PackageNotFoundError:
        return None


def _draw(texts: list[str], count: int, data_seed: int) -> list[str]:
    """A random sample of `count` texts, in their original order."""
    return [texts[i] for i in sorted(permutation(len(texts), "icd10", data_seed)[:count])]


def _chapters() -> dict[str, list[str]]:
    """The distinct texts of each chapter that has enough of them, in the order of the classification.

    A text that occurs in two chapters (viral pericarditis) has no unique answer and is left out.
    """
    homes: dict[str, tuple[str, str]] = {}
    ambiguous = set()
    for chapter, text in _texts():
        home, _ = homes.setdefault(text.casefold(), (chapter, text))
        if home != chapter:
            ambiguous.add(text.casefold())
    chapters: dict[str, list[str]] = {}
    for key, (chapter, text) in homes.items():
        if key not in ambiguous:
            chapters.setdefault(chapter, []).append(text)
    return {chapter: texts for chapter, texts in chapters.items() if len(texts) >= MINIMUM_TEXTS}


def _texts() -> Iterator[tuple[str, str]]:
    """Chapter title and text, for the description and each inclusion term of every category and subcategory.

    Codes extended by a seventh character are skipped: each repeats its parent's text and adds "initial encounter".
    """
    icd, chapter = _package(), ""
    for code in icd.get_all_codes():
        if icd.is_chapter(code):
            chapter = re.sub(r" \(\w+-\w+\)$", "", icd.get_description(code))
        elif icd.is_category(code) or icd.is_subcategory(code, include_extended_subcategories=False):
            for text in (icd.get_description(code), *icd.get_inclusion_term(code)):
                yield chapter, " ".join(text.split())


def _package() -> Any:
    """simple_icd_10_cm, whose import reads the whole classification (about two seconds)."""
    with warnings.catch_warnings():
        # It reads its own files through functions that importlib.resources has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            import simple_icd_10_cm
        except ImportError:
            raise DataError(
                "task 'icd10-chapter' needs the package simple-icd-10-cm", "pip install 's3tui[demo]'"
            ) from None
    return simple_icd_10_cm
