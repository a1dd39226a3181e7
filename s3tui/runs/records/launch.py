"""Where a run is started, and what its job asks for there: a part of `queue.json`, as none of it defines the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from core.run.fields import Like, Made

LOCAL = "local"
AUTO = "auto"  # the first launcher that answers; never in a queue file


@dataclass(frozen=True, slots=True)
class Launch:
    """The launcher by its name (`kind`), and its options, which only that launcher understands.

    In the file both stand side by side in one table.
    """

    kind: str = LOCAL
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What is written into `queue.json`."""
        return {"kind": self.kind, **self.options}


@dataclass(frozen=True)
class _Kind:
    """What every such table has."""

    kind: str


def _read_back(table: Mapping[str, Any]) -> Launch:
    return Launch(table["kind"], {key: value for key, value in table.items() if key != "kind"})


# A `Launch` as a field of a record.
LaunchTable = Annotated[Launch, Made(Annotated[dict[str, Any], Like(lambda: _Kind)], _read_back)]
