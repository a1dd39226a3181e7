"""The table of methods, a row each: how a run chooses the structure that it trains.

Rows are read without torch; the class or function that computes a method is named in its row. All properties of a
method are in its row: no other code compares the name of a method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.run.errors import SpecError
from core.run.plugins import Registry


@dataclass(frozen=True)
class Adapter:
    """How a method of PEFT spends the budget on its target modules.

    - `delta`: what a target is given, in the names of candidates.
    - `ranks`: "each" if every target has a rank of its own, "one" if all have the same, "pool" if ranks are planned in
      total and PEFT hands them out, "none" if a target is trained as it is, without a rank.
    - `allocates`: whether ranks are handed out while the adapter is trained, so that it begins with more of them; each
      has a singular value.
    """

    delta: str
    ranks: Literal["each", "one", "pool", "none"]
    allocates: bool = False


@dataclass(frozen=True)
class MethodRow:
    """A method. `about` is a predicate that follows its name; `title` is its name in papers, `source` its publication.

    `code`, `module:name`, makes the structure. If the method searches, it is a `core.search.loop.Searcher`, called with
    the `Setup`, the `GatedModel` and the budget in parameters; otherwise a function of the `Setup` that returns the
    indices of the selected candidates. It is empty if there is nothing to choose.

    - `space`: "chosen" if some candidates of the space are selected, "whole" if all are (as far as they fit), "given"
      if the space holds exactly a structure that is given, "none" if there is no space.
    - `trains`: the selected "candidates", or all weights of the "model".
    - `budget`: "needed", "kept" if there is one, or "ignored".
    - `length`: the settings table with the length of the search (`max_steps`, or else `epochs`); empty without a
      search.
    - `settings`: the settings table of this method or its like, which others do not read; empty if there is none.
    - `extra`: the optional dependencies that the method needs; empty if there are none.
    - `evaluates`: whether the network is evaluated on the validation split during the search.
    - `gates`: whether each candidate has a probability p, which is logged during the search.
    - `by`: what the structure is selected by: "p", or the name of the quantity by which the logged order sorts. The
      verdict on a search goes by it too (`core.run.verdict`).
    - `learns`: whether the search trains the weights of the candidates, so that retraining can go on from them.
    - `bilevel`: whether it needs `search.bilevel`.
    - `strategy`: whether it reads `search.strategy`.
    - `baseline`: whether results are compared with it.
    """

    name: str
    about: str
    code: str
    space: Literal["chosen", "whole", "given", "targets", "none"] = "chosen"
    trains: Literal["candidates", "adapter", "model"] = "candidates"
    adapter: Adapter | None = None
    budget: Literal["needed", "kept", "ignored"] = "needed"
    length: str = ""
    settings: str = ""
    extra: str = ""
    evaluates: bool = True
    gates: bool = False
    by: str = "p"
    learns: bool = False
    bilevel: bool = False
    strategy: bool = False
    baseline: bool = False
    title: str = ""
    source: str = ""

    @property
    def searches(self) -> bool:
        """Whether a run has a search phase."""
        return bool(self.length)

    @property
    def has_space(self) -> bool:
        """Whether the structure consists of candidates of the run's space."""
        return self.space in ("chosen", "whole")

    @property
    def is_of_candidates(self) -> bool:
        """Whether the structure consists of candidates that the settings define, of a space or given ones."""
        return self.space in ("chosen", "whole", "given")

    @property
    def is_given(self) -> bool:
        """Whether the structure is given by a file or by another run."""
        return self.space == "given"


FULL = MethodRow("full", "fine-tunes all of the model", code="", space="none", trains="model", budget="ignored")

GIVEN = MethodRow(
    "given",
    "trains the structure that [`structure`](#structure) names",
    code="core.search.methods.unsearched:as_given",
    space="given",
    budget="kept",
)


def _of_peft(name: str, about: str, code: str, adapter: Adapter, title: str, source: str) -> MethodRow:
    """The row of a method that PEFT computes."""
    return MethodRow(
        name, about, f"core.adapters.configs:{code}", space="targets", trains="adapter", adapter=adapter,
        settings="peft", extra="peft", baseline=True, title=title, source=source,
    )  # fmt: skip


PEFT = (
    _of_peft(
        "lora",
        "trains LoRA through PEFT, its ranks as large as the budget allows",
        "lora",
        Adapter("lora", "each"),
        "LoRA, through PEFT",
        "arXiv 2106.09685",
    ),
    _of_peft(
        "eva",
        "trains LoRA through PEFT, with ranks and first weights from a decomposition of activations",
        "eva",
        Adapter("lora", "pool"),
        "EVA, through PEFT",
        "arXiv 2410.07170",
    ),
    _of_peft(
        "adalora",
        "trains AdaLoRA through PEFT, which takes ranks away while it trains",
        "adalora",
        Adapter("adalora", "pool", allocates=True),
        "AdaLoRA, through PEFT",
        "arXiv 2303.10512",
    ),
    _of_peft(
        "ln-tuning",
        "trains weights and biases of normalisation layers through PEFT",
        "ln_tuning",
        Adapter("ln-tuning", "none"),
        "LN tuning, through PEFT",
        "arXiv 2312.11420",
    ),
    _of_peft(
        "shira",
        "trains single weights drawn at random through PEFT",
        "shira",
        Adapter("shira", "one"),
        "SHiRA, through PEFT",
        "arXiv 2406.13175",
    ),
)

OWN = (
    MethodRow(
        "s3",
        "searches a structure",
        code="core.search.methods.s3:S3",
        length="search",
        gates=True,
        learns=True,
        strategy=True,
        title="sparse structure search",
        source="arXiv 2206.07382",
    ),
    MethodRow(
        "bipeft",
        "searches one by pruning, with ranks in turn",
        code="core.search.methods.bipeft.searcher:Bipeft",
        length="search",
        settings="bipeft",
        gates=True,
        by="sensitivity",
        learns=True,
        bilevel=True,
        title="BIPEFT, a search by pruning",
        source="arXiv 2410.09079",
    ),
    MethodRow(
        "saliency",
        "scores candidates by the gradients of a few batches, without training them",
        code="core.search.methods.saliency:Saliency",
        length="saliency",
        settings="saliency",
        evaluates=False,
        gates=True,
        by="saliency",
        title="one-shot saliency",
        source="arXiv 1810.02340",
    ),
    MethodRow(
        "random",
        "draws one within the budget",
        code="core.search.methods.unsearched:at_random",
        baseline=True,
    ),
    MethodRow(
        "fixed",
        "takes the whole space, or as much as the budget allows, from the last layer down or evenly over the layers",
        code="core.search.methods.unsearched:in_order",
        space="whole",
        budget="kept",
        settings="fixed",
        baseline=True,
    ),
    *PEFT,
    FULL,
    GIVEN,
)

METHODS = Registry("methods", MethodRow, {row.name: row for row in OWN})

# The settings tables that only some methods read.
OWN_TABLES = tuple(dict.fromkeys(row.settings for row in OWN if row.settings))


def method_of(name: object) -> MethodRow:
    """The row of the method with this name, read from a file.

    If it is not installed here, or its package is broken, a row that makes no claims: it may have gates.
    """
    try:
        if isinstance(name, str) and name in METHODS:
            return METHODS[name]
    except SpecError:
        pass
    return MethodRow(str(name), "is not known here", code="", space="none", budget="kept", gates=True)
