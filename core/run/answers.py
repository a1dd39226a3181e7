"""How right a text is that a model has written, by the measures of SQuAD (arXiv 1606.05250)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

Measure = Callable[[str, str], float]


def score(measure: str, text: str, answers: Sequence[str]) -> float:
    """The measure of this name, of the text and the closest of its correct answers after normalisation, from 0 to 1."""
    return max(MEASURES[measure](normalised(text), normalised(answer)) for answer in answers)


def normalised(text: str) -> str:
    """A text normalised as for SQuAD: in lower case, without punctuation, articles and extra spaces."""
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def _is_equal(text: str, answer: str) -> float:
    return float(text == answer)


def _shared_words(text: str, answer: str) -> float:
    """The F1 of the words of a text and of an answer."""
    words, right = text.split(), answer.split()
    common = sum((Counter(words) & Counter(right)).values())
    return 2 * common / (len(words) + len(right)) if common else 0.0


MEASURES: Mapping[str, Measure] = {"exact_match": _is_equal, "token_f1": _shared_words}
