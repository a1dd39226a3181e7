"""The settings of a confirmation: the structure of an arm, retrained to its whole length with a fresh seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.run.methods import GIVEN, method_of
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
    return spec.model_copy(update={"seed": seed, "method": GIVEN.name, "space": space})
