"""Counts the tokens of a task's texts with a model's tokenizer, without loading the model."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

from core.run.errors import ModelError, SpecError
from core.run.foreign import foreign
from core.run.modelfiles import model_file
from core.tasks.task import Example, Task
from core.tasks.texts import columns_of, source_text

MOST_TEXTS = 10_000  # that are tokenised, spread evenly over the task; takes about a second
MOST_CHARACTERS = 10_000_000  # of these texts together
WRITES = ("ForCausalLM", "LMHeadModel")  # endings of the names of decoder architectures


def check_length(max_length: int, model: str, positions: Any, tokenizer_limit: float, text_to_text: bool) -> None:
    """Raise SpecError if texts are longer than a model can read.

    The limit is the size of the position table, and for models with a head also the tokenizer's limit; that of a T5's
    tokenizer is ignored.
    """
    limit = math.inf if positions is None else positions
    if not text_to_text:
        limit = min(limit, tokenizer_limit)
    if max_length > limit:
        raise SpecError(f"task.max_length = {max_length}, but {model} reads {limit} tokens", "lower it")


def check_model_length(max_length: int, model: str) -> None:
    """Check the length with the limits in a model's files, as far as they are on this machine."""
    config, tokenizer = _json_of(model, "config.json"), _json_of(model, "tokenizer_config.json")
    positions, limit = config.get("max_position_embeddings"), tokenizer.get("model_max_length")
    numbers = [
        value if isinstance(value, int) and not isinstance(value, bool) else None for value in (positions, limit)
    ]
    check_length(max_length, model, numbers[0], math.inf if numbers[1] is None else numbers[1], _writes(config))


def check_weights(class_weights: bool, model: str) -> None:
    """Raise SpecError if classes are weighted and the model writes its answers, as far as its files are here."""
    if class_weights and _writes(_json_of(model, "config.json")):
        raise SpecError('class_weights = "balanced" is for models that answer with a head', f"leave it out for {model}")


def lengths(task: Task, model: str) -> dict[str, Any]:
    """Median and largest length in tokens, and how many of how many texts are cut; or why that is unknown."""
    path = model_file(model, "tokenizer.json")
    if path is None:
        return {"unknown": f"the tokenizer of {model} is not on this machine, or has no tokenizer.json"}
    try:
        with foreign(f"the tokenizer of {model} cannot read the texts"):
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(path))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            examples = _sample([row for rows in task.splits.values() for row in rows])
            counted = [len(encoding.ids) for encoding in tokenizer.encode_batch(_read(task, examples, model))]
    except ModelError as error:
        return {"unknown": str(error)}
    return {
        "max_length": task.max_length,
        "median": round(statistics.median(counted)),
        "longest": max(counted),
        "cut": sum(count > task.max_length for count in counted),
        "texts": len(counted),
        "sampled": len(counted) < sum(map(len, task.splits.values())),
    }


def _read(task: Task, examples: Sequence[Example], model: str) -> list[Any]:
    """The input of each row: a text, or a pair of texts."""
    if _writes(_json_of(model, "config.json")):
        return [source_text(task, example) for example in examples]
    columns = columns_of(examples)
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _sample(examples: Sequence[Example]) -> list[Example]:
    """An evenly spread sample of the rows, small enough to be tokenised quickly."""
    characters = sum(len(text) for example in examples for _, text in example.fields)
    share = max(len(examples) / MOST_TEXTS, characters / MOST_CHARACTERS, 1.0)
    return [examples[int(i * share)] for i in range(max(1, int(len(examples) / share)))]


def _writes(config: dict[str, Any]) -> bool:
    """Whether a model of this configuration generates its answers as text."""
    names = config.get("architectures")
    architectures = [str(name) for name in names] if isinstance(names, list) else []
    return bool(config.get("is_encoder_decoder")) or any(name.endswith(WRITES) for name in architectures)


def _json_of(model: str, file: str) -> dict[str, Any]:
    """A JSON file of a model; empty if it cannot be read, which loading the model reports in more detail."""
    path = model_file(model, file)
    try:
        found = json.loads(path.read_bytes()) if path else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
