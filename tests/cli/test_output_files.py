"""A file that cannot be written is told by the name that was given, by every command that writes one."""

import pytest

from core.run.rundir import RunDir, write_json
from core.run.selection import mean
from core.run.structure import Candidate, Structure

SPACE = tuple(Candidate("attn.q", "encoder", i, f"encoder.layer.{i}.q", "lora(rank=1)", 64) for i in range(3))
WRITERS = [
    "init {}.toml", "report runs -o {}.md", "report runs -o {}.html", "plot a -o {}.svg",
    "plot a --kind structure -o {}.pdf",
    "structure reselect a --budget 64 -o {}.json", "structure mean a --budget 64 -o {}.json",
    "structure random --like a -o {}.json", "structure convert a -o {}.json",
]  # fmt: skip


@pytest.fixture(autouse=True)
def run(tmp_path):
    """A run that has chosen a structure, and a file where a folder would have to be."""
    directory = RunDir(tmp_path / "runs/first/a")
    directory.create({"task": {"name": "t"}, "model": "m", "method": "s3", "seed": 0})
    write_json(directory.structure, mean([Structure(SPACE, (0.9, 0.1, 0.2), (), 130, "m")], 130).to_json())
    (tmp_path / "file").touch()


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("folder", ["missing", "file", "/proc"])
def test_an_output_that_cannot_be_written_is_told_as_it_was_given(s3tui, command, folder):
    given = next(word for word in command.split() if "{}" in word).format(f"{folder}/x")
    code, out, err = s3tui(*command.format(f"{folder}/x").split())
    assert (code, out) == (2, "")
    assert err.startswith(f"s3tui: {given} cannot be written: ")
    assert len(err.splitlines()) == 1
