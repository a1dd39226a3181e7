"""Candidates and structures, and the structure file. Plain data without torch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cached_property, lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

from core.run.errors import RunDirError
from core.run.fields import LATER, Count, Like, Positive, Share, WrongError, read
from core.run.rundir import read_json

FORMAT = "s3tui-structure"
VERSION = 1
RUN = "run:"  # prefix of a reference to the structure of a run


@dataclass(frozen=True)
class Candidate:
    """A delta at a site: the unit that a gate opens or closes.

    `stack` is "encoder", "decoder" or "" (the head); `layer` is None for sites outside the layers; `module` is the
    module's path in the backbone; `parameters` is the number of parameters of the delta. Candidates of one module with
    the same `choice`, a delta written with a list, are alternatives: a structure has at most one of them.
    """

    site: str
    stack: str
    layer: Count | None
    module: str
    delta: str
    parameters: Positive
    choice: str = field(default="", metadata=LATER)

    @property
    def label(self) -> str:
        """The site with its place, as in `E3.attn.q`, `D.norm.final` or `head`."""
        return site_label(self.site, self.stack, self.layer)

    @cached_property
    def name(self) -> str:
        """The site's label and the delta, as in `E3.attn.q lora(rank=1)`."""
        return f"{self.label} {self.delta}"


def site_label(site: str, stack: str, layer: int | None) -> str:
    """The short name of a place in the network, as in `E3.attn.q`."""
    place = stack[:1].upper() + ("" if layer is None else str(layer))
    return f"{place}.{site}" if place else site


@dataclass(frozen=True)
class Structure:
    """Candidates with their probabilities, and which of them are chosen.

    `p[i]` is the probability that the gate of candidate i is open (1 or 0 without a search); `selected` holds indices
    in ascending order.
    """

    candidates: tuple[Candidate, ...]
    p: tuple[float, ...]
    selected: tuple[int, ...]
    budget: int | None
    model: str = ""

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """The chosen candidates, in the order of the space."""
        return tuple(self.candidates[i] for i in self.selected)

    @property
    def parameters(self) -> int:
        """The total number of parameters of the chosen candidates."""
        return sum(c.parameters for c in self.chosen)

    def to_json(self) -> dict[str, Any]:
        """The content of `structure.json`."""
        chosen = set(self.selected)
        rows = [asdict(c) | {"p": self.p[i], "selected": i in chosen} for i, c in enumerate(self.candidates)]
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "budget": self.budget,
            "parameters": self.parameters,
            "candidates": rows,
        }

    @classmethod
    def from_json(cls, data: Any) -> Structure:
        """Parse the content of `structure.json`; raises RunDirError that says what is wrong with it."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise RunDirError("this is not a structure file", f"its 'format' should be {FORMAT!r}")
        version = data.get("version")
        if type(version) is int and version > VERSION:
            raise RunDirError(f"the structure file has version {version}", "it needs a newer s3tui")
        try:
            file = read(_File, data)
            candidates = _candidates(file.candidates)
            p, selected = _chosen(file.candidates)
            _check_choices(candidates, selected)
        except WrongError as error:
            raise RunDirError("the structure file is damaged", str(error)) from None
        return cls(candidates, p, selected, file.budget, file.model)


class _Object:
    """Any JSON object; the fields of candidates are checked later."""


_OBJECT = Like(lambda: _Object)


@dataclass(frozen=True)
class _File:
    """The fields of a structure file that are read."""

    version: Positive
    budget: Count | None
    candidates: list[Annotated[dict[str, Any], _OBJECT]]
    model: str = field(default="", metadata=LATER)


@dataclass(frozen=True)
class _Mark:
    """The fields of a row beside those of its candidate."""

    p: Share
    selected: bool


def _candidates(rows: list[dict[str, Any]]) -> tuple[Candidate, ...]:
    """The candidates of the rows of a file; raises WrongError. Files of one space share them."""
    try:
        values = tuple(map(_VALUES, rows))
    except KeyError:
        values = tuple(tuple([row.get(key, MISSING) for key in _KEYS]) for row in rows)
    kinds = tuple(map(type, chain.from_iterable(values)))  # True == 1, and so is its hash
    try:
        return _space(values, kinds)
    except TypeError:  # something that has no hash, which is wrong wherever it stands
        return _space.__wrapped__(values, kinds)


_KEYS = tuple(one.name for one in fields(Candidate))
_VALUES = itemgetter(*_KEYS)


@lru_cache(maxsize=32)
def _space(values: tuple[tuple[Any, ...], ...], kinds: tuple[type, ...]) -> tuple[Candidate, ...]:
    """The candidates with these values of their fields; `kinds` only tells apart what else is equal."""
    rows = [{key: v for key, v in zip(_KEYS, row, strict=True) if v is not MISSING} for row in values]
    candidates: tuple[Candidate, ...] = _under(rows, tuple[Candidate, ...])
    first: dict[tuple[str, str], int] = {}
    for i, one in enumerate(candidates):
        before = first.setdefault((one.module, one.delta), i)
        if before != i:
            raise WrongError(f"is the same as candidates[{before}]: {one.delta} at {one.module}", f"candidates[{i}]")
    return candidates


def _chosen(rows: list[dict[str, Any]]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """p, and which rows are selected; raises WrongError."""
    try:
        p: list[float] = read(list[Share], [row.get("p") for row in rows])
        flags: list[bool] = read(list[bool], [row.get("selected") for row in rows])
    except WrongError:
        _under(rows, tuple[_Mark, ...])  # names the row
        raise
    return tuple(p), tuple([i for i, is_selected in enumerate(flags) if is_selected])


def _under(rows: list[dict[str, Any]], kind: Any) -> Any:
    try:
        return read(kind, rows)
    except WrongError as error:
        raise error.under("candidates") from None


def _check_choices(candidates: Sequence[Candidate], selected: Sequence[int]) -> None:
    """Raise WrongError if two alternatives are both selected."""
    choices, taken = choices_of(candidates), dict[int, int]()
    for i in selected:
        if (other := taken.setdefault(choices[i], i)) != i:
            raise WrongError(f"is selected, and so is its alternative candidates[{other}]", f"candidates[{i}]")


def read_structure(path: Path) -> Structure:
    """Read a structure file; raises RunDirError that names the file if it is missing or damaged."""
    data = read_json(path)
    try:
        return Structure.from_json(data)
    except RunDirError as error:
        raise RunDirError(f"{path}: {error.message}", error.hint) from None


def read_candidate(row: Any) -> Candidate:
    """A candidate from its row in a file; raises WrongError, a ValueError, if a field is missing or wrong."""
    return read(Candidate, row)


def choices_of(candidates: Sequence[Candidate]) -> list[int]:
    """For each candidate the first of its alternatives, by number: its own where it has none."""
    first: dict[tuple[str, str], int] = {}
    return [first.setdefault((c.module, c.choice), i) if c.choice else i for i, c in enumerate(candidates)]


def whole_space(candidates: Sequence[Candidate]) -> int:
    """The parameters of the largest structure: of all candidates, and of alternatives the largest one."""
    largest: dict[int, int] = {}
    for first, candidate in zip(choices_of(candidates), candidates, strict=True):
        largest[first] = max(largest.get(first, 0), candidate.parameters)
    return sum(largest.values())


def overlap(a: Set[Hashable], b: Set[Hashable]) -> float:
    """|A and B| / |A or B| (Jaccard); 1 if both are empty."""
    both = len(a & b)
    return both / (len(a) + len(b) - both) if a or b else 1.0


def names_of(structure: Structure) -> frozenset[str]:
    """The names of the chosen candidates."""
    return frozenset(c.name for c in structure.chosen)


def jaccard(a: Structure, b: Structure) -> float:
    """The overlap of the chosen candidates, by name; 1 where both are empty."""
    return overlap(names_of(a), names_of(b))
