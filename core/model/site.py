"""Sites: the modules of a network at which deltas can be attached, with the sub-layer around each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.run.structure import site_label


@dataclass(frozen=True)
class Attention:
    """An attention module: its path, the number of key and value heads, and their width."""

    module: str
    heads: int
    head_width: int


@dataclass(frozen=True)
class Sublayer:
    """A sub-layer: a module that reads its input alone, of `inputs` features, and its attention if it has one.

    `entry` is empty where it is not known, as of a module that is named by its path.
    """

    entry: str
    inputs: int
    attention: Attention | None


Kind = Literal["linear", "norm", "block", "stack"]


@dataclass(frozen=True)
class Site:
    """A module of the backbone at which deltas can be attached.

    `kind` says what the module is: a linear map from `inputs` to `outputs` features, a normalisation whose weight has
    `outputs` elements, a sub-layer whose output has `outputs` features (before the residual is added), or a stack of
    layers, which reads vectors of `inputs` features. `sublayer` is known of canonical sub-layers, see
    `core.model.sublayers`; `normalised` says of a stack whether it brings the vectors to one size before they are
    attended to.
    """

    name: str
    stack: str
    layer: int | None
    module: str
    kind: Kind
    inputs: int
    outputs: int
    sublayer: Sublayer | None = None
    normalised: bool = False

    @property
    def label(self) -> str:
        """The short name with its place, as in `E3.attn.q`."""
        return site_label(self.name, self.stack, self.layer)
