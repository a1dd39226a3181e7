"""How good predictions are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from core.tasks.task import Kind


def evaluate(kind: Kind, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
    """The metrics of a task's kind, between -1 and 1; the first is the score.

    Classes are indices; a negative prediction is no class and always wrong. A correlation that is undefined, as
    that of constant or NaN predictions, is 0.
    """
    if kind == "classification":
        return _classification([int(p) for p in predictions], [int(r) for r in references])
    return _regression(predictions, references)


def _classification(predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score

    classes = sorted({c for c in (*predictions, *references) if c >= 0})
    macro = f1_score(references, predictions, labels=classes, average="macro", zero_division=0.0)
    return {"accuracy": float(accuracy_score(references, predictions)), "macro_f1": float(macro)}


def _regression(predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
    from scipy.stats import NearConstantInputWarning, pearsonr, spearmanr

    finite = all(map(math.isfinite, predictions))
    if not finite or len(set(predictions)) < 2 or len(set(references)) < 2:
        return {"pearson": 0.0, "spearman": 0.0}
    with warnings.catch_warnings():
        # A model that has collapsed to one value, but for the last digits, shows in the score.
        warnings.simplefilter("ignore", NearConstantInputWarning)
        pearson, spearman = pearsonr(predictions, references), spearmanr(predictions, references)
    return {"pearson": float(pearson.statistic), "spearman": float(spearman.statistic)}
