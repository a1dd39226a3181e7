"""Several processes of one machine that share a run: each computes its part of every batch, and gradients are summed.

What they share is the default group of torch.distributed. Without one, as in a run of a single process, every function
here gives back what it is given. All processes call the same functions in the same order, with the same numbers of
everything that was summed, so that weights and gates stay equal without ever being sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed

from core.run.errors import LostProcessError

T = TypeVar("T")


def rank() -> int:
    """The number of this process; the first, 0, is the worker, which alone writes files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def part(rows: Sequence[T]) -> Sequence[T]:
    """What this process has to do of something that all do together."""
    return rows[rank() :: count()]


def seed(common: int) -> int:
    """A seed for what is drawn for this part of the rows alone, from one that is common to all."""
    return common ^ rank() << 40


def summed(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Each of the tensors summed over the processes, in one exchange, in fp32."""
    if count() == 1:
        return tensors
    flat = torch.cat([tensor.detach().float().flatten() for tensor in tensors])
    _together(lambda: distributed.all_reduce(flat))
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return tuple(p.view(t.shape).to(t.dtype) for p, t in zip(parts, tensors, strict=True))


def agreed(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if count() == 1:
        return flag
    votes = torch.tensor(int(flag))  # on the CPU, so that no GPU has to be waited for
    _together(lambda: distributed.all_reduce(votes))
    return bool(votes)


def gathered(mine: T) -> list[T]:
    """What each process has, in the order of the processes."""
    if count() == 1:
        return [mine]
    found: list[T] = [mine] * count()
    _together(lambda: distributed.all_gather_object(found, mine))
    return found


def _together(exchange: Callable[[], object]) -> None:
    """Do something that needs all processes; raises LostProcessError where one is gone."""
    try:
        exchange()
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise LostProcessError(
            f"one of the {count()} processes of the run is gone ({reason})", "the log has its last words"
        ) from None
