"""The grid layout of candidates on a map of the network: rows are sites with deltas, columns are layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.run.deltas import DELTAS
from core.run.structure import Candidate

STACKS = {"encoder": 0, "decoder": 1}  # anything else, such as the head, comes after them
OUTSIDE = 10**6  # the sort key of candidates outside the layers: after the last layer


def short_deltas(deltas: Iterable[str]) -> dict[str, str]:
    """A short name for each delta; with arguments only if two deltas would have the same name otherwise."""
    known = list(dict.fromkeys(deltas))
    kinds: dict[str, list[str]] = defaultdict(list)
    for delta in known:
        kinds[delta.partition("(")[0]].append(delta)
    names = {}
    for delta in known:
        kind, bracket, arguments = delta.partition("(")
        name = (DELTAS[kind].short if kind in DELTAS else "") or kind
        names[delta] = name + bracket + arguments if len(kinds[kind]) > 1 else name
    return names


def column_of(candidate: Candidate) -> str:
    """The column of a candidate: `E3`, or `D` for the decoder outside its layers, or `head` outside the stacks."""
    if not candidate.stack:
        return candidate.site
    return candidate.stack[:1].upper() + ("" if candidate.layer is None else str(candidate.layer))


@dataclass(frozen=True)
class GateMap:
    """The map: `cells[row][column]` is the index of a candidate or None.

    `stacks` is the stack of each column; `places[i]` is the (row, column) of candidate i.
    """

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    cells: tuple[tuple[int | None, ...], ...] = ()
    places: tuple[tuple[int, int], ...] = ()

    def step(self, index: int, down: int, right: int) -> int:
        """The next candidate in a direction: in the same line if possible, else the nearest; itself at the edge."""
        row, column = self.places[index]

        def away(i: int) -> tuple[int, int, int]:
            rows, columns = self.places[i][0] - row, self.places[i][1] - column
            aside = abs(columns if down else rows)
            return bool(aside), abs(rows if down else columns), aside

        ahead = [
            i for i, (r, c) in enumerate(self.places) if (r - row) * down > 0 or (c - column) * right > 0
        ]  # fmt: skip
        return min(ahead, key=away, default=index)


NO_MAP = GateMap()


def gate_map(candidates: Sequence[Candidate]) -> GateMap:
    """The map of a space: rows in its order, the deltas of a site together; columns by layer, encoder before decoder.

    Sites outside the layers come last.
    """
    short = short_deltas(c.delta for c in candidates)
    in_layers = {c.site for c in candidates if c.layer is not None}
    order_of_sites = sorted(dict.fromkeys(c.site for c in candidates), key=lambda site: site not in in_layers)
    sites = {site: at for at, site in enumerate(order_of_sites)}
    labels = sorted(
        dict.fromkeys((sites[c.site], f"{c.site} {short[c.delta]}") for c in candidates), key=lambda r: r[0]
    )
    rows = {label: at for at, (_, label) in enumerate(labels)}
    order = {column_of(c): (STACKS.get(c.stack, len(STACKS)), _layer(c), c.stack) for c in candidates}
    columns = {name: at for at, name in enumerate(sorted(order, key=lambda name: order[name]))}
    places = tuple((rows[f"{c.site} {short[c.delta]}"], columns[column_of(c)]) for c in candidates)
    cells: list[list[int | None]] = [[None] * len(columns) for _ in rows]
    for index, (row, column) in enumerate(places):
        cells[row][column] = index
    stacks = tuple(order[name][2] for name in columns)
    return GateMap(tuple(rows), tuple(columns), stacks, tuple(map(tuple, cells)), places)


def _layer(candidate: Candidate) -> int:
    return OUTSIDE if candidate.layer is None else candidate.layer
