"""How far the difference of two rows of results would move with other test rows, from the kept predictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.run.resampling import LABELS, variance_of_difference
from core.run.rundir import RunDir, open_plain

LARGEST = 2**28  # bytes of a file of predictions; one that is larger was not written by a worker
MOST_ROWS = 2**23
KEPT = 256  # files and differences that are remembered


@dataclass(frozen=True)
class Predictions:
    """What a run answered on the test split, row by row: labels, numbers or texts, beside the targets."""

    targets: tuple[Any, ...]
    answers: tuple[Any, ...]
    labels: tuple[str, ...]


def row_variance(metric: str, pairs: Sequence[tuple[RunDir, RunDir]]) -> float | None:
    """The variance over test rows of the mean difference of these pairs of runs; None if that is not known.

    It is known if all of them kept predictions for the same rows, and the metric can be computed from these.
    """
    try:
        stamps = tuple((_stamp(a), _stamp(b)) for a, b in pairs)
    except OSError:
        return None
    return _variance(metric, stamps)


Stamp = tuple[Path, int, int]  # a file with the time and size by which it is recognised as the same


def _stamp(run: RunDir) -> Stamp:
    found = run.predictions.stat()
    return run.predictions, found.st_mtime_ns, found.st_size


@lru_cache(KEPT)
def _variance(metric: str, stamps: tuple[tuple[Stamp, Stamp], ...]) -> float | None:
    read = [(_read(a), _read(b)) for a, b in stamps]
    known = [one for pair in read for one in pair if one is not None]
    if len(known) < 2 * len(read) or not known or any(one.targets != known[0].targets for one in known):
        return None
    pairs = [(a.answers, b.answers) for a, b in read if a is not None and b is not None]
    try:
        return variance_of_difference(metric, known[0].targets, pairs, known[0].labels)
    except (ValueError, TypeError, AttributeError):  # the file holds something else than the metric is of
        return None


@lru_cache(KEPT)
def _read(stamp: Stamp) -> Predictions | None:
    """The predictions in a file; None if they cannot be read. Whatever stands in it, nothing is raised."""
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    path, _, size = stamp
    if size > LARGEST:
        return None
    try:
        with open_plain(path) as opened:
            file = pyarrow.parquet.ParquetFile(opened)
            if file.metadata.num_rows > MOST_ROWS:
                return None
            table = file.read(columns=["target", "prediction"])
        targets, answers = (tuple(table[name].to_pylist()) for name in ("target", "prediction"))
        labels = json.loads((table.schema.metadata or {}).get(LABELS.encode(), b"[]"))
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException):
        return None
    known = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    return Predictions(targets, answers, tuple(labels) if known else ())
