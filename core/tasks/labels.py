"""What about the labels of a task a person should know before anything is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from core.run.errors import quoted
from core.tasks.task import Task

# From this share of the training rows on, one class decides about the accuracy.
MAJORITY = 0.9
FEW_NUMBERS = 10  # different values, of which classes are meant more often than numbers
MANY_CLASSES = 0.5  # classes for each row, from which on they look like something else
SHOWN = 5  # labels that a sentence names
# What programs write for a label that is not there.
NO_LABELS = frozenset({"nan", "none", "null", "na", "n/a", "#n/a", "nil", "<na>", "-", "?", "missing", "undefined"})


def folded(label: str) -> str:
    """A label without what may differ by accident: spaces around it, upper and lower case."""
    return label.strip().lower()


def warnings(counts: Mapping[str, int], column: str, task: Task | None) -> Iterator[str]:
    """Sentences about classes, `counts` of them over all rows as they are in the files."""
    yield from _spellings(counts)
    for label, count in counts.items():
        if folded(label) in NO_LABELS:
            rows = "one row has" if count == 1 else f"{count:,} rows have"
            yield f"{rows} the label {quoted(label)}, a class like any other: leave them out if it means none"
    total = sum(counts.values())
    if total > 20 and len(counts) > MANY_CLASSES * total:
        yield f"{column!r} has {len(counts):,} different values in {total:,} rows: is it the column of the labels?"
    elif task is not None:
        yield from _missing(task)
    yield from _majority(counts, task)


def of_numbers(values: Sequence[float], chosen: bool) -> Iterator[str]:
    """Sentences about numbers that are to be predicted; `chosen` where the settings say that they are."""
    different = sorted(set(values))
    if len(different) <= FEW_NUMBERS and not chosen:
        named = ", ".join(map(str, different[:SHOWN])) + (", ..." if len(different) > SHOWN else "")
        yield (
            f"the labels have only {len(different)} different values ({named}): "
            'set kind = "classification" if they are classes, kind = "regression" if not'
        )


def _spellings(counts: Mapping[str, int]) -> Iterator[str]:
    """Labels that differ in upper and lower case or in the spaces around them alone."""
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
            f"labels differ in case or spaces alone: {named}{more}; "
            f"fold_labels = true makes {len(groups)} classes of these {len(counts)}"
        )


def _missing(task: Task) -> Iterator[str]:
    """Classes of which a split has no row."""
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
        yield (
            f"{counts[label]:,} of {total:,} rows are {quoted(label)}: whoever always answers that has an accuracy of "
            f'{share:.1f}{score}; class_weights = "balanced" lets the others count as much'
        )


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
