"""The methods, a row each: how a run comes to the structure that it trains.

Rows are read without torch; what a method computes is the class or function that its row names. What anybody wants to
know of a method stands here: nothing else asks for one by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.run.errors import SpecError
from core.run.plugins import Registry


@dataclass(frozen=True)
class MethodRow:
    """A method. `about` says what it does, to be read after its name; `title` is what papers call it.

    `code`, `module:name`, makes the structure. Of a method that searches it is a `core.search.loop.Searcher`, called
    with the setup, the gated model and the budget in parameters; of others a function of the setup (`Setup`) that gives
    the indices of the candidates. It is empty where there is nothing to choose.

    - `space`: candidates of the space are "chosen", the "whole" of it is taken, it holds a structure that is "given",
      or there is "none".
    - `trains`: the "candidates" that are selected, or all weights of the "model".
    - `budget`: "needed", "kept" where one is given, or "ignored".
    - `length`: the table of the settings that says how long the search is, with `max_steps` or `epochs`; empty for a
      method that searches nothing.
    - `settings`: the table of the settings that is its own, empty where it has none.
    - `gates`: whether every candidate has a probability, which is logged as the search goes on.
    - `by`: what the structure is cut out by: "p", or the name of what the logged order of the candidates stands for.
    - `bilevel`: whether the two halves of the training data that `search.bilevel` makes are needed.
    - `strategy`: whether `search.strategy` says how the probabilities come about.
    - `baseline`: whether searches are measured against it.
    - `source`: where it was published, as it is cited.
    """

    name: str
    about: str
    code: str
    space: Literal["chosen", "whole", "given", "none"] = "chosen"
    trains: Literal["candidates", "model"] = "candidates"
    budget: Literal["needed", "kept", "ignored"] = "needed"
    length: str = ""
    settings: str = ""
    gates: bool = False
    by: str = "p"
    bilevel: bool = False
    strategy: bool = False
    baseline: bool = False
    title: str = ""
    source: str = ""

    @property
    def searches(self) -> bool:
        """Whether the structure is searched, step by step."""
        return bool(self.length)

    @property
    def has_space(self) -> bool:
        """Whether the structure comes from a space, all of it or a part."""
        return self.space in ("chosen", "whole")

    @property
    def is_given(self) -> bool:
        """Whether the structure is one that was found elsewhere."""
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
        bilevel=True,
        title="BIPEFT, a search by pruning",
        source="arXiv 2410.09079",
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

# The tables of the settings that are a method's own.
OWN_TABLES = tuple(row.settings for row in OWN if row.settings)


def method_of(name: object) -> MethodRow:
    """The row of the method that a file names.

    Of one that is not installed here, or whose package is broken, a row that rules nothing out: it may have gates.
    """
    try:
        if isinstance(name, str) and name in METHODS:
            return METHODS[name]
    except SpecError:
        pass
    return MethodRow(str(name), "is not known here", code="", space="none", budget="kept", gates=True)
