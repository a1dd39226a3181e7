"""How the rows of a task become what a model reads, and which of them it cannot answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from core.run.errors import SpecError
from core.run.prompts import PAPER
from core.run.spec import LongRows

# The form of tokenised examples: for an encoder's head, for text-to-text models, for decoders that write, and for a
# decoder's head.
Form = Literal["head", "text", "prompt", "prompt-head"]

# What is said of rows that cannot be answered.
NO_ROOM = "have no room for their text in the prompt"


@dataclass(frozen=True)
class InputFormat:
    """The form of the examples, their prompt, with `shots` examples drawn by `seed`, and what is done with long rows.

    `positions` is the most that a model reads, None if it has no limit.
    """

    form: Form
    prompt: str = PAPER
    shots: int = 0
    seed: int = 0
    positions: int | None = None
    on_long_rows: LongRows = "error"


def check_reads_no_prompt(model: str, prompt: str, shots: int) -> None:
    """Raise SpecError if something is asked for that an encoder, which reads texts as they are, cannot have."""
    key = "prompt" if prompt != PAPER else "shots" if shots else ""
    if key:
        raise SpecError(f"{key} is for models that read a prompt, and {model} is an encoder", f"leave {key} out")


def long_rows_hint(what: Collection[str]) -> str:
    """What to do about rows of which this is said."""
    way = "raise task.max_length or shorten the prompt" if NO_ROOM in what else "lower task.max_length"
    return f'{way}, lower shots, or leave them out: on_long_rows = "drop"'


def too_long(positions: int) -> str:
    """What is said of rows that are too long."""
    return f"do not fit, with their answer, into the {positions:,} tokens that the model reads"
