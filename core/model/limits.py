"""Limits on a model's configuration: sizes that would take hours or all memory are refused before they are built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from core.run.errors import ModelError

# Endings of keys that count things built one by one, with an upper bound for each.
LIMITS = {
    r"layers?|blocks|block_sizes": 1_000,
    r"experts": 100_000,
    r"num_labels": 100_000,
}
# Most elements of computed buffers (positions, masks), which are not loaded from a file.
COMPUTED_ELEMENTS = 2**28


def check_counts(name: str, config: dict[str, Any]) -> None:
    """Raise ModelError for a configuration, as read from its file, with counts that no network has."""
    for key, value in _numbers("", config):
        for ending, most in LIMITS.items():
            if re.search(rf"({ending})$", key) and value > most:
                raise ModelError(f"config.json of {name} has {key} = {value:,}", f"more than {most:,} is refused")


def check_filled(name: str, model: nn.Module) -> None:
    """Raise ModelError for a network with an empty parameter."""
    empty = next((n for n, p in model.named_parameters() if not p.numel()), None)
    if empty is not None:
        raise ModelError(f"config.json of {name} asks for a weight of no elements, {empty}", "a size in it is 0")


def check_size(name: str, source: str, model: nn.Module, new: Iterable[str], per_byte: int = 1) -> None:
    """Raise ModelError for a network (on the meta device) larger than its weight files, parameters in `new` aside.

    A byte holds at most `per_byte` parameters, so what passes needs no more memory than a few times its files.
    """
    held = sum(file.stat().st_size for pattern in ("*.safetensors", "*.bin") for file in Path(source).glob(pattern))
    left_out = set(new)
    asked = sum(p.numel() for n, p in model.named_parameters() if n not in left_out)
    if asked > held * per_byte:
        problem = f"config.json of {name} asks for {asked:,} parameters"
        raise ModelError(problem, f"its weights are {held:,} bytes: they are cut, or of another model")
    if sum(b.numel() for b in model.buffers()) > COMPUTED_ELEMENTS:
        raise ModelError(f"config.json of {name} asks for tables of more than {COMPUTED_ELEMENTS:,} elements")


def _numbers(key: str, value: Any) -> Iterator[tuple[str, int]]:
    """Every whole number with its key; those of a list have the key of the list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(str(name), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(key, inner)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value
