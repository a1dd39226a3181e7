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
    - `settings`: the settings table that only this method reads; empty if there is none.
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
    space: Literal["chosen", "whole", "given", "none"] = "chosen"
    trains: Literal["candidates", "model"] = "candidates"
    budget: Literal["needed", "kept", "ignored"] = "needed"
    length: str = ""
    settings: str = ""
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
        "takes the whole space, or as much as the budget allows from the last layer down",
        code="core.search.methods.unsearched:last_layers_first",
        space="whole",
        budget="kept",
        baseline=True,
    ),
    FULL,
    GIVEN,
)

METHODS = Registry("methods", MethodRow, {row.name: row for row in OWN})

# The settings tables that only one method reads.
OWN_TABLES = tuple(row.settings for row in OWN if row.settings)


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
