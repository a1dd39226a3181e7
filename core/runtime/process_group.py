"""Data parallelism over the processes of one machine: each computes its part of every batch, gradients are summed.

The processes form the default group of torch.distributed. Without a group, as in a run of a single process, every
function here returns its argument. All processes call the same functions in the same order and get the same sums, so
that their weights and gates stay equal without ever being sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed

from core.run.errors import LostProcessError

T = TypeVar("T")


def rank() -> int:
    """The rank of this process; rank 0 is the worker, which alone writes files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """The number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def part(rows: Sequence[T]) -> Sequence[T]:
    """The part of these rows that this process computes."""
    return rows[rank() :: count()]


def seed(common: int) -> int:
    """A seed for draws that concern this process's rows alone, derived from one common to all processes."""
    return common ^ rank() << 40


def summed(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Each tensor summed over all processes (all-reduce), in one exchange and in fp32."""
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
    votes = torch.tensor(int(flag))  # on the CPU, so that nothing waits for a GPU
    _together(lambda: distributed.all_reduce(votes))
    return bool(votes)


def gathered(mine: T) -> list[T]:
    """The value of each process, in the order of ranks (all-gather)."""
    if count() == 1:
        return [mine]
    found: list[T] = [mine] * count()
    _together(lambda: distributed.all_gather_object(found, mine))
    return found


def _together(exchange: Callable[[], object]) -> None:
    """Run an exchange among all processes; raises LostProcessError if one of them died."""
    try:
        exchange()
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise LostProcessError(
            f"one of the {count()} processes of the run died ({reason})", "the end of the log may say why"
        ) from None
