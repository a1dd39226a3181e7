"""What a configuration may ask for: numbers that would take hours or all memory are refused before they are tried."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from core.run.errors import ModelError

# How keys end whose numbers are counts of what is built one by one, and the most of each.
LIMITS = {
    r"layers?|blocks|block_sizes": 1_000,
    r"experts": 100_000,
    r"num_labels": 100_000,
}
# Elements of tables that are computed, not loaded: positions, masks.
COMPUTED_ELEMENTS = 2**28


def check_counts(name: str, config: dict[str, Any]) -> None:
    """Refuse a configuration, as its file has it, with counts that no network has."""
    for key, value in _numbers("", config):
        for ending, most in LIMITS.items():
            if re.search(rf"({ending})$", key) and value > most:
                raise ModelError(f"config.json of {name} has {key} = {value:,}", f"more than {most:,} is refused")


def check_filled(name: str, model: nn.Module) -> None:
    """Refuse a network with a weight of no elements: nothing flows through it."""
    empty = next((n for n, p in model.named_parameters() if not p.numel()), None)
    if empty is not None:
        raise ModelError(f"config.json of {name} asks for a weight of no elements, {empty}", "a size in it is 0")


def check_size(name: str, source: str, model: nn.Module, new: Iterable[str]) -> None:
    """Refuse a network, on the meta device, that the weights in the folder cannot fill; `new` need not be there.

    A parameter takes a byte or more, so that whatever passes needs no more memory than a few times the files.
    """
    held = sum(file.stat().st_size for pattern in ("*.safetensors", "*.bin") for file in Path(source).glob(pattern))
    left_out = set(new)
    asked = sum(p.numel() for n, p in model.named_parameters() if n not in left_out)
    if asked > held:
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
