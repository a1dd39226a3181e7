"""Warnings about the labels of a task: variants of spelling, missing labels, rare and dominant classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from core.run.errors import quoted
from core.tasks.task import Task

# Above this share of the training rows, one class dominates the accuracy.
MAJORITY = 0.9
FEW_NUMBERS = 10  # or fewer different values are more often classes than numbers
MANY_CLASSES = 0.5  # classes per row, above which the column is probably not the label
SHOWN = 5  # labels named in a sentence
# Strings that programs write for a missing label.
NO_LABELS = frozenset({"nan", "none", "null", "na", "n/a", "#n/a", "nil", "<na>", "-", "?", "missing", "undefined"})


def folded(label: str) -> str:
    """A label in lower case, without surrounding spaces."""
    return label.strip().lower()


def warnings(counts: Mapping[str, int], column: str, task: Task | None) -> Iterator[str]:
    """Warnings about the classes; `counts` are their rows over all files, with labels as written."""
    yield from _spellings(counts)
    for label, count in counts.items():
        if folded(label) in NO_LABELS:
            rows = "one row has" if count == 1 else f"{count:,} rows have"
            yield f"{rows} the label {quoted(label)}, which counts as a class: leave them out if it means none"
    total = sum(counts.values())
    if total > 20 and len(counts) > MANY_CLASSES * total:
        yield f"{column!r} has {len(counts):,} different values in {total:,} rows: is it the column of the labels?"
    elif task is not None:
        yield from _missing(task)
    yield from _majority(counts, task)


def of_numbers(values: Sequence[float], chosen: bool) -> Iterator[str]:
    """Warnings about the labels of a regression; `chosen` if the settings ask for a regression."""
    different = sorted(set(values))
    if len(different) <= FEW_NUMBERS and not chosen:
        named = ", ".join(map(str, different[:SHOWN])) + (", ..." if len(different) > SHOWN else "")
        yield (
            f"the labels have only {len(different)} different values ({named}): "
            'set kind = "classification" if they are classes, kind = "regression" if not'
        )


def _spellings(counts: Mapping[str, int]) -> Iterator[str]:
    """Warn of labels that differ only in case or in surrounding spaces."""
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(folded(label), []).append(label)
    several = [group for group in groups.values() if len(group) > 1]
    if several:
        named = "; ".join(
            ", ".join(f"{quoted(label)} ({counts[label]:,})" for label in group) for group in several[:SHOWN]
        )
        more = "; ..." if len(several) > SHOWN else ""
        yield (
            f"labels differ only in case or spaces: {named}{more}; "
            f"fold_labels = true makes {len(groups)} classes of these {len(counts)}"
        )


def _missing(task: Task) -> Iterator[str]:
    """Warn of classes that are missing in a split."""
    rows = {split: Counter(int(row.label) for row in examples) for split, examples in task.splits.items()}
    rare = []
    for i, label in enumerate(task.labels):
        total = sum(count[i] for count in rows.values())
        without = [split for split, count in rows.items() if not count[i]]
        if without and total:
            rare.append(f"{'one row' if total == 1 else f'{total:,} rows'} of {quoted(label)}, none in {_and(without)}")
        elif not total:
            rare.append(f"no row of {quoted(label)}")
    yield from rare[:SHOWN]
    if len(rare) > SHOWN:
        yield f"{len(rare) - SHOWN:,} more classes are missing in a split"


def _majority(counts: Mapping[str, int], task: Task | None) -> Iterator[str]:
    total = sum(counts.values())
    label = max(counts, key=lambda name: counts[name], default="")
    if total and counts[label] > MAJORITY * total and len(counts) > 1:
        share = 100 * counts[label] / total
        score = f" (the score is {task.metrics[0]})" if task else ""
        weighted = task is not None and task.class_weights
        hint = "" if weighted else '; class_weights = "balanced" lets the others count as much'
        yield (
            f"{counts[label]:,} of {total:,} rows are {quoted(label)}: always predicting that has an accuracy of "
            f"{share:.1f}{score}{hint}"
        )


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
