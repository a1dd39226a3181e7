"""How many hostile inputs a campaign draws: few and always the same in every test run, many by `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("S3TUI_FUZZ") == "long"

# Commands and whole models are slow examples, and fixtures that hold files are shared on purpose.
_SLOW = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)


def hostile(examples: int) -> settings:
    """The settings of a campaign, as `@hostile(40)` above `@given(...)`; `make fuzz` draws fifty times as many."""
    if LONG:
        return settings(max_examples=50 * examples, deadline=None, print_blob=True, suppress_health_check=_SLOW)
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW)
