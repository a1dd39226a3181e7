"""What a user may do after a command, as a line on stderr with commands that can be copied."""

from __future__ import annotations

import shlex
from pathlib import Path

from core.run.errors import RunDirError
from core.run.methods import method_of
from core.run.structure import read_structure
from s3tui.cli.diagnostics import say
from s3tui.results.summary import Groups
from s3tui.runs.lookup import DEFAULT_FILE
from s3tui.runs.workspace import FoundRun


def after_results(rows: Groups, where: Path, prefix: str = "") -> None:
    """How to see the runs of these rows, and how to take the best one along; nothing if there is none.

    `where` is what `--in` takes, `prefix` what the names of the runs lack there.
    """
    if not rows:
        return
    best = rows[0][1][0]
    kind, place = _form(best), [] if where == Path(DEFAULT_FILE) else [str(where)]
    output = f"{best.name.replace('/', '-')}-{kind}"
    show = shlex.join(["s3tui", *(["open", *place] if place else [])])
    take = ["s3tui", "export", f"{prefix}{best.name}", "--to", kind, "-o", output, *(["--in", *place] if place else [])]
    say(f"see it: {show}; take it along: {shlex.join(take)}")


def _form(run: FoundRun) -> str:
    """`merged` if every model can hold what was trained in its weights, otherwise `delta`, which holds everything."""
    if method_of(run.spec.get("method")).trains == "model":
        return "merged"
    try:
        chosen = read_structure(run.directory.structure).chosen
    except RunDirError:
        return "delta"
    return "merged" if all(candidate.delta.startswith("lora(") for candidate in chosen) else "delta"
