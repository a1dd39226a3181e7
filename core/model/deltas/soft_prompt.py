"""Soft prompt: learned vectors before the tokens of an encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from core.model.deltas.balance import share
from core.model.deltas.base import Effect, Rows, Standalone, Weight, uniform
from core.model.site import Site

BOUND = 0.5


@dataclass(frozen=True)
class SoftPrompt(Standalone):
    """The network reads [P; E] instead of the embedded text E, with P: (n, d); n d parameters.

    n is the length. Everything that attends to the positions of the prompt gives them the weight z e^s instead of
    e^s, with s their score: with z = 0 they are not there. P starts uniform in +-0.5. Of an encoder-decoder the encoder
    reads it. Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning", section 2 and its
    random start.

    Balanced steps: the rate is one over the share of the prompt beside a text of 32 tokens, times the size
    0.5 / sqrt(3) of its elements where the network normalises what it reads.
    """

    length: int
    factor: float = 1.0
    axes: ClassVar[Mapping[str, int]] = {"prompt": 0}
    folds: ClassVar[bool] = True
    acts_on: ClassVar[Literal["module", "attention", "stack"]] = "stack"

    def fits(self, site: Site) -> bool:
        """At the input of a network."""
        return site.kind == "stack"

    def weights(self, site: Site) -> dict[str, Weight]:
        """The prompt."""
        part = share(self.length, site.stack == "decoder")
        size = BOUND / math.sqrt(3) if site.normalised else 1.0
        return {"prompt": Weight((self.length, site.inputs), uniform(BOUND), rate=size / part)}

    def effect(self, tensors: Mapping[str, Tensor]) -> Effect:
        """The prompt with the gates of its rows."""
        return Effect(rows=Rows(tensors["prompt"], tensors["gates"]))
