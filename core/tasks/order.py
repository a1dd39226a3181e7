"""Deterministic sample orders and splits: pure functions of their seeds, equal on every machine.

Nothing here has state, so a resumed run needs only its step number.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from functools import lru_cache

from core.tasks.task import Split


def permutation(n: int, *key: object) -> list[int]:
    """A permutation of 0..n-1 that depends on `n` and `key` alone."""
    order = list(range(n))
    # A string seeds through SHA-512; seeding with hash() would differ from process to process.
    random.Random("/".join(map(str, (n, *key)))).shuffle(order)
    return order


# Cached, as the training and the validation stream of a search each stay within an epoch for many steps.
@lru_cache(maxsize=4)
def epoch_order(n: int, seed: int, epoch: int) -> tuple[int, ...]:
    """The order of n examples in an epoch."""
    return tuple(permutation(n, "epoch", seed, epoch))


def steps_per_epoch(n: int, batch_size: int) -> int:
    """The number of training steps in an epoch: complete batches only, and at least one."""
    return max(1, n // batch_size)


def batch_indices(n: int, batch_size: int, seed: int, step: int) -> list[int]:
    """The examples of training step `step`, counted from 0 over all epochs.

    An incomplete batch at the end of an epoch is dropped; if there are fewer examples than a batch, they are one batch.
    """
    epoch, position = divmod(step, steps_per_epoch(n, batch_size))
    start = position * batch_size
    return list(epoch_order(n, seed, epoch)[start : start + batch_size])


def halves(n: int, seed: int) -> tuple[list[int], list[int]]:
    """Two disjoint halves of n examples, in ascending order; the first has the odd one."""
    return drawn(n, (n + 1) // 2, "halves", seed)


def drawn(n: int, count: int, *key: object) -> tuple[list[int], list[int]]:
    """A random sample of `count` of n examples, determined by `key`, and the others; both in ascending order."""
    order = permutation(n, *key)
    return sorted(order[:count]), sorted(order[count:])


def three_way(strata: Sequence[Hashable], seed: int) -> dict[Split, list[int]]:
    """Split rows 80/10/10 into train, validation and test, each stratum alike as far as its size allows.

    `strata[i]` is the group of row i. Shares are rounded over the groups together, so that many small groups
    do not round to nothing; every group keeps a row in train. Validation and test are empty where rows are too few.
    """
    members: dict[Hashable, list[int]] = {}
    for row, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(row)
    splits: dict[Split, list[int]] = {"train": [], "validation": [], "test": []}
    seen = 0
    for stratum, rows in members.items():
        order = [rows[i] for i in permutation(len(rows), "split", seed, stratum)]
        share = (seen + len(rows)) // 10 - seen // 10
        held = min(share, (len(rows) - 1) // 2)
        splits["validation"] += order[:held]
        splits["test"] += order[held : 2 * held]
        splits["train"] += order[2 * held :]
        seen += len(rows)
    return {split: sorted(rows) for split, rows in splits.items()}
