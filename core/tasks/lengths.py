"""Counts the tokens of a task's texts with a model's tokenizer, without loading the model."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.run.errors import ModelError, SpecError
from core.run.foreign import foreign
from core.run.modelfiles import model_file
from core.run.prompts import CHAT
from core.run.reader import Reader
from core.tasks.inputs import NO_ROOM, check_reads_no_prompt, too_long
from core.tasks.prompts import Prompts, check_fields, cut
from core.tasks.task import Example, Task
from core.tasks.texts import columns_of, target_text

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


def check_model_length(max_length: int, reader: Reader) -> None:
    """Check the length with the limits in a model's files, as far as they are on this machine."""
    model = reader.model
    config, tokenizer = _json_of(model, "config.json"), _json_of(model, "tokenizer_config.json")
    positions, limit = _number(config, "max_position_embeddings", "n_positions"), _number(tokenizer, "model_max_length")
    check_length(max_length, model, positions, math.inf if limit is None else limit, _writes(reader))


def check_weights(class_weights: bool, reader: Reader) -> None:
    """Raise SpecError if classes are weighted and the model writes its answers, as far as its files are here."""
    if class_weights and _writes(reader):
        what = 'class_weights = "balanced" is for models that answer with a head'
        raise SpecError(what, f"leave it out for {reader.model}")


def lengths(task: Task, reader: Reader) -> dict[str, Any]:
    """Median and largest length in tokens, and how many of how many texts are cut; or why that is unknown.

    `lost` counts the rows that cannot be answered (`core.tasks.long_rows`), by what is wrong with them. Raises
    SpecError if the task cannot be written as the reader asks for.
    """
    path = model_file(reader.model, "tokenizer.json")
    examples = _sample([row for rows in task.splits.values() for row in rows])
    if _is_text_to_text(reader.model):
        check_fields(task, reader.prompt)
    elif _json_of(reader.model, "config.json"):
        check_reads_no_prompt(reader.model, reader.prompt, reader.shots)
    if path is None:
        return {"unknown": f"the tokenizer of {reader.model} is not on this machine, or has no tokenizer.json"}
    if reader.prompt == CHAT:
        return {"unknown": "a run applies the chat template"}
    try:
        with foreign(f"the tokenizer of {reader.model} cannot read the texts"):
            counted, lost = _counted(task, examples, reader, _tokenizer(path))
    except ModelError as error:
        return {"unknown": str(error)}
    return {
        "max_length": task.max_length,
        "median": round(statistics.median(counted)),
        "longest": max(counted),
        "cut": sum(count > task.max_length for count in counted),
        "texts": len(counted),
        "sampled": len(counted) < sum(map(len, task.splits.values())),
        "lost": dict(Counter(lost)),
    }


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _counted(task: Task, examples: Sequence[Example], reader: Reader, tokenizer: Any) -> tuple[list[int], list[str]]:
    """The tokens of each row before it is cut, and what is wrong with rows that cannot be answered."""

    def measure(texts: Sequence[Any], special: bool = True) -> list[int]:
        return [len(encoding.ids) for encoding in tokenizer.encode_batch(texts, add_special_tokens=special)]

    if not _is_text_to_text(reader.model):
        columns = columns_of(examples)
        return measure(columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))), []
    prompts = Prompts(task, reader.prompt, reader.shots, reader.seed)
    counted = measure([prompts.write(row, prompts.examples_for(row)) for row in examples])
    # What is left of rows that are cut: their least, if that is too long already.
    cuts = [i for i, count in enumerate(counted) if count > task.max_length and not prompts.is_plain]
    least = measure([prompts.write(cut(examples[i], 1), prompts.examples_for(examples[i])) for i in cuts])
    full = {i for i, count in zip(cuts, least, strict=True) if count > task.max_length}
    ending = measure([prompts.ending], special=False)[0]
    answers = _answers(task, examples, measure) if _writes(reader) else [0] * len(examples)
    sizes = [min(n, task.max_length) + ending + answer for n, answer in zip(counted, answers, strict=True)]
    return counted, [NO_ROOM] * len(full) + _too_long([n for i, n in enumerate(sizes) if i not in full], reader.model)


def _answers(task: Task, examples: Sequence[Example], measure: Callable[..., list[int]]) -> list[int]:
    """The tokens of each row's answer, or of the longest label, with the end of text."""
    texts = task.labels or [target_text(task, row) for row in examples]
    written = [count + 1 for count in measure(texts, special=False)]
    return [max(written)] * len(examples) if task.labels else written


def _too_long(lengths: Sequence[int], model: str) -> list[str]:
    """What is wrong with prompts and answers of these lengths, for each that a decoder cannot read whole."""
    config = _json_of(model, "config.json")
    positions = _number(config, "max_position_embeddings", "n_positions")
    if positions is None or config.get("is_encoder_decoder"):
        return []
    return [too_long(positions) for length in lengths if length > positions]


def _sample(examples: Sequence[Example]) -> list[Example]:
    """An evenly spread sample of the rows, small enough to be tokenised quickly."""
    characters = sum(len(text) for example in examples for _, text in example.fields)
    share = max(len(examples) / MOST_TEXTS, characters / MOST_CHARACTERS, 1.0)
    return [examples[int(i * share)] for i in range(max(1, int(len(examples) / share)))]


def _writes(reader: Reader) -> bool:
    """Whether a model generates its answers as text, as far as its files are here."""
    return not reader.head and _is_text_to_text(reader.model)


def _is_text_to_text(model: str) -> bool:
    """Whether a model reads what one that writes does, as far as its files are here."""
    config = _json_of(model, "config.json")
    names = config.get("architectures")
    architectures = [str(name) for name in names] if isinstance(names, list) else []
    return bool(config.get("is_encoder_decoder")) or any(name.endswith(WRITES) for name in architectures)


def _number(table: dict[str, Any], *keys: str) -> int | None:
    """The first of these keys with a whole number."""
    found = (table.get(key) for key in keys)
    return next((value for value in found if isinstance(value, int) and not isinstance(value, bool)), None)


def _json_of(model: str, file: str) -> dict[str, Any]:
    """A JSON file of a model; empty if it cannot be read, which loading the model reports in more detail."""
    path = model_file(model, file)
    try:
        found = json.loads(path.read_bytes()) if path else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
