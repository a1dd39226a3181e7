"""Ids of jobs in records: each becomes an argument of the launcher's commands, so it must not look like an option."""

from __future__ import annotations

import re
from typing import Annotated

from core.run.errors import quoted
from core.run.fields import Made, WrongError


def _checked(text: str) -> str:
    if re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_.:+-]{0,199})?", text) is None:
        raise WrongError(f"should be the id of a job, as 17_3, not {quoted(text)}")
    return text


JobId = Annotated[str, Made(str, _checked)]  # empty until the launcher has given one
