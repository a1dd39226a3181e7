"""Integer rows of different lengths in one tensor: little memory, and fast to read from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

import numpy as np
import torch
from torch import Tensor


class Ragged:
    """Rows concatenated in `values` (int32); `ends` (rows, int64) is the end of each."""

    def __init__(self, values: Tensor, ends: Tensor) -> None:
        self.values, self.ends = values, ends
        self._bounds = [0, *ends.tolist()]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """From a sequence of rows."""
        ends = list(accumulate(map(len, rows)))
        values = np.fromiter(chain.from_iterable(rows), np.int32, ends[-1] if ends else 0)
        return cls(torch.from_numpy(values), torch.tensor(ends, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, row: int) -> list[int]:
        values: list[int] = self.values[self._bounds[row] : self._bounds[row + 1]].tolist()
        return values

    def __iter__(self) -> Iterator[list[int]]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ragged) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def only(self, rows: Sequence[int]) -> Ragged:
        """These rows."""
        return Ragged.of([self[row] for row in rows])

    def size(self, rows: Sequence[int]) -> int:
        """The total length of these rows."""
        return sum(self._bounds[row + 1] - self._bounds[row] for row in rows)

    @property
    def lengths(self) -> list[int]:
        """The length of each row."""
        return [end - start for start, end in zip(self._bounds, self._bounds[1:], strict=False)]
