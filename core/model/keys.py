"""Checks that the weights of a model folder fit its configuration, and explains missing or renamed tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from torch import nn

from core.run.errors import ModelError

SHOWN = 3  # keys named in an error message


def may_be_missing(model: nn.Module, key: str) -> bool:
    """Whether a checkpoint of a pretrained encoder may lack this key, as it belongs to a head or a pooler.

    The head is everything outside the base model of transformers. A pooler is trained with a head too; most checkpoints
    have none.
    """
    prefix = f"{model.base_model_prefix}."
    return not key.startswith(prefix) or "pooler" in key.removeprefix(prefix).split(".")[:1]


def check_keys(name: str, missing: Collection[str], unexpected: Collection[str]) -> None:
    """Raise ModelError if keys are missing; `unexpected` keys of the file help to explain why."""
    if not missing:
        return
    first = ", ".join(sorted(missing)[:SHOWN])
    more = ", ..." if len(missing) > SHOWN else ""
    problem = f"the weights of {name} lack {len(missing):,} tensors of the model ({first}{more})"
    other = renamed(missing, unexpected)
    raise ModelError(problem, _what_to_do(*other) if other else "put the weights that belong to its config.json there")


def _what_to_do(theirs: str, ours: str) -> str:
    """The hint for a file whose names have the prefix `theirs` instead of `ours`."""
    if not ours:
        return f"the names in the file start with {theirs!r}: save the model inside that wrapper, or take it off"
    if not theirs:
        return f"the names in the file lack {ours!r}: put it before them"
    return f"the names in the file start with {theirs!r}, those of the model with {ours!r}: rename them"


def renamed(missing: Collection[str], unexpected: Collection[str]) -> tuple[str, str] | None:
    """The prefix in the file and the expected one, if that difference explains all missing keys."""
    key = min(missing)
    for cut in _cuts(key):
        ours, rest = key[:cut], key[cut:]
        for found in unexpected:
            if found == rest or found.endswith(f".{rest}"):
                theirs = found[: len(found) - len(rest)]
                if set(missing) <= {ours + k[len(theirs) :] for k in unexpected if k.startswith(theirs)}:
                    return theirs, ours
    return None


def _cuts(key: str) -> Iterable[int]:
    """The positions at which a key can be split at a dot, the longest rest first."""
    return [0, *(i + 1 for i, c in enumerate(key) if c == ".")]


def check_shapes(name: str, mismatched: Iterable[Any], head: Collection[str]) -> None:
    """Raise ModelError for tensors of wrong shape, except those of a head, which may be replaced."""
    wrong = [str(key if isinstance(key, str) else key[0]) for key in mismatched]
    wrong = [key for key in wrong if key not in head]
    if wrong:
        raise ModelError(f"the weights of {name} do not fit its config.json", f"first: {min(wrong)}")
