"""The settings of a confirmation: the structure of an arm, retrained to its whole length with a fresh seed.

It starts where the arm has started: with the weights of its search, where it had any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.run.methods import GIVEN, method_of
from core.run.searched import search_of
from core.run.structure import RUN
from s3tui.structures.load import of_run

if TYPE_CHECKING:
    from core.run.rundir import RunDir
    from core.run.spec import RunSpec


def confirmation_of(directory: RunDir, name: str, seed: int) -> RunSpec:
    """The settings that confirm the run `name` with a seed; raises S3Error if it has no structure that can be read.

    An arm that trains all of the model has no structure: it is repeated as it is with the seed.
    """
    from pydantic import ValidationError

    from core.run.errors import RunDirError
    from core.run.given import given_space
    from core.run.rundir import read_json
    from core.run.spec import RunSpec

    try:
        spec = RunSpec.of_file(read_json(directory.spec))
    except ValidationError as error:
        raise RunDirError(f"{directory.spec} is damaged", error.errors()[0]["msg"]) from None
    row = method_of(spec.method)
    if not row.has_space and not row.is_given:
        return spec.model_copy(update={"seed": seed})
    space = given_space(f"{RUN}{name}", of_run(directory, name).structure)
    retrain = spec.retrain.model_copy(
        update={"start": "searched" if _starts_with_weights(spec, directory) else "scratch"}
    )
    return spec.model_copy(update={"seed": seed, "method": GIVEN.name, "space": space, "retrain": retrain})


def _starts_with_weights(spec: RunSpec, directory: RunDir) -> bool:
    """Whether retraining of an arm has started with what its search had found beside the structure."""
    found = search_of(directory)
    return bool(found and found.weights) and (spec.retrain.start == "searched" or not method_of(spec.method).learns)
