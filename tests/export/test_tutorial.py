"""The tutorial works as it is written: its blocks are run from top to bottom in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
# The last part is to work where nothing of this project is.
WITHOUT_US = 'import sys; sys.modules["core"] = sys.modules["s3tui"] = None\n'


def test_every_block_of_the_tutorial_runs(tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    blocks = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "toml", "bash", "bash", "python"]
    for kind, text in blocks:
        if kind == "toml":
            (tmp_path / "tutorial.toml").write_text(text)
            continue
        command = ["bash", "-ec", text] if kind == "bash" else [sys.executable, "-c", WITHOUT_US + text]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    answers = re.findall(r"^the (dinner|weather) was \w+: (?:praise|complaint)$", done.stdout, re.MULTILINE)
    assert answers == ["dinner", "weather"]
