"""What decides how a model reads the rows of a task: as much of a run's settings as the check of its data needs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from core.run.prompts import PAPER
from core.run.spec import LongRows, RunSpec

SHOWN = 40  # characters of a value in a label


@dataclass(frozen=True)
class Reader:
    """A model, with the keys of a run by which it reads and answers; `seed` is that of the examples in prompts."""

    model: str
    head: bool = False
    prompt: str = PAPER
    shots: int = 0
    seed: int = 0
    on_long_rows: LongRows = "error"

    @classmethod
    def of(cls, spec: RunSpec) -> Reader:
        """That of a run."""
        seed = spec.seed if spec.shots else 0
        return cls(spec.model, spec.head, spec.prompt, spec.shots, seed, spec.on_long_rows)

    @property
    def label(self) -> str:
        """The model, with the keys that are not as usual."""
        usual = asdict(Reader(self.model))
        changed = [f"{key} = {_shown(value)}" for key, value in self.to_json().items() if value != usual[key]]
        return " with ".join(filter(None, (self.model, ", ".join(changed))))

    def to_json(self) -> dict[str, Any]:
        """The keys, of which the reader can be made again."""
        return asdict(self)


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
