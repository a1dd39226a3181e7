"""Reads the `[launcher]` table of a suite and of its experiments, by the settings of the launcher that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.run.errors import SpecError
from s3tui.launchers.registry import kinds, settings_of
from s3tui.runs.records.launch import AUTO, LOCAL, Launch
from s3tui.suite.validate import read_table
from s3tui.text.problems import Key, Problems


def launch(table: Mapping[str, Any], key: Key, problems: Problems, inherited: Any = AUTO) -> Launch:
    """What a table asks for. Without `kind` it is of the kind that it inherits, or "auto"."""
    options = {name: value for name, value in table.items() if name != "kind"}
    kind = table.get("kind", inherited if table else LOCAL)
    if kind not in kinds():
        problems.add((*key, "kind"), f"should be one of {', '.join(kinds())}")
        kind = LOCAL
    if not options:
        return Launch(kind)
    try:
        model = settings_of(kind).settings()
    except SpecError as error:
        problems.add((*key, "kind"), str(error))
        return Launch()
    if model is None:
        problems.unknown_keys(key, options, ("kind",))
        return Launch(kind)
    settings = read_table(model, options, key, problems, also=("kind",))
    return Launch(kind, settings.model_dump(mode="json", exclude_unset=True))
