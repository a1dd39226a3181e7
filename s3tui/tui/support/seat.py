"""Whether the app takes the dispatcher's seat of a workspace: whoever has it starts the queued runs."""

from __future__ import annotations

from enum import Enum


class Seat(Enum):
    """`UNDECIDED`: the app takes the seat if that starts nothing, and else asks once.

    `TAKEN`: it takes it as soon as no other process has it. `LEFT`: it only watches.
    """

    UNDECIDED = "undecided"
    TAKEN = "taken"
    LEFT = "left"
