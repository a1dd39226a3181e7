"""A workspace in which every text that can hold one holds what a terminal, HTML or Markdown would obey.

Texts go into every field of every file, alone and all at once, into the names of folders, and into what Slurm says.
"""

import json
import os
import re
import shutil

from hostile_runs import JOBS, Hostile, places

from core.run.errors import S3Error
from core.run.events import from_line
from core.run.rundir import read_json, write_json
from core.run.structure import Structure
from s3tui.runs.status import Damaged
from s3tui.runs.workspace import Workspace, read_run

# What writes the clipboard, sets the title, colours (in a colour that is not ours), clears, in seven bits and in eight;
# what turns the direction of text; what overwrites a line. `CLIP` and the colour are looked for by themselves.
CLIP = "RVZJTA=="
COLOUR = "\x1b[38;5;201m"
CONTROLS = (
    f"\x1b]52;c;{CLIP}\x07", "\x1b]0;t\x1b\\", COLOUR, "\x1b[2J", "\x1bP1$q\x1b\\", "\x9b5m", f"\x9d52;c;{CLIP}\x9c",
    "\u202e", "\u2066", "\u2069", "\u200f", "\u061c", "\x08", "\x0b", "\x0c", "\x7f", "\x85", "\u2028", "\r",
)  # fmt: skip
EVIL = "e".join(("", *CONTROLS, "e"))
IN_JSON = EVIL + "\ud800\n\x00"  # what no name of a file can hold
NAME = f"n{EVIL}$_{{US$"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
SGR = re.compile("\x1b\\[[0-9;]*m")


def controls_of(text, colours=True):
    """The controls of a text but ends of lines, tabs and, where they may be, colours that are ours."""
    assert CLIP not in text or not re.search(f"[\x1b\x9d][^\ufffd]*{CLIP}", text)
    found = [COLOUR] if COLOUR in text else []
    return found + FORBIDDEN.findall(SGR.sub("", text) if colours else text)


class Evil:
    """Makes the workspace; its runs hold the text in every field that takes it, those `alone` in one that does not."""

    def __init__(self, folder, text=IN_JSON, name=NAME):
        self.text, self.suite = text, f"suite-{name}"
        self.workspace = Workspace(folder / f"runs-{name}")
        self.workspace.of_launcher("slurm").mkdir(parents=True)
        self.workspace.pause.touch()  # nothing is ever started
        self._sound = Hostile(folder / "sound")
        self._taken, self._refused = self._tried()
        self.finished = self._run(f"finished-{name}")
        self.failed = self._run(f"failed-{name}", without=("result.json",), wanted="held")
        self.waits = self._run(f"waits-{name}", ("result.json", "exit.json", "process.json", "summary.json"))
        self.in_slurm = self._run(f"in-slurm-{name}", ("result.json", "exit.json", "process.json"), job="job.json")
        self.alone = [self._run(f"alone-{n}", only=place) for n, place in enumerate(self._refused)]

    @property
    def names(self):
        """All runs."""
        return [self.finished, self.failed, self.waits, self.in_slurm, *self.alone]

    def _tried(self):
        """The places in all records at which the text may stand, and those at which it damages the run."""
        taken, refused = [], []
        for name, document in self._sound.documents.items():
            self._sound.renew(finished=name == "result.json", job=name if name in JOBS else "")  # where it is looked at
            for path in texts(document):
                (self._sound.bad.path / name).write_text(json.dumps(self._with_text(document, path)))
                sound = is_sound(self._sound.bad, name) and path != ("state",)  # without which a job does not live
                (taken if sound else refused).append((name, path))
        return taken, refused

    def _run(self, folder, without=(), job="", only=None, wanted="queued"):
        name, path = only or ("", ())
        run = self.workspace.run(f"{self.suite}/{folder}")
        self._sound.renew(finished=not only or name == "result.json", job=job or (name if name in JOBS else ""))
        shutil.copytree(self._sound.bad.path, run.path)
        for file in without:
            (run.path / file).unlink()
        write_json(run.queue, read_json(run.queue) | {"wanted": wanted})
        for name, path in [only] if only else self._taken:
            file = run.path / name
            if file.exists():
                file.write_text(json.dumps(self._with_text(json.loads(file.read_bytes()), path)))
        if not only:
            self._fill_events(run)
            run.log.write_bytes(f"{EVIL}\n{EVIL}".encode() + b"\x00\x9b5m\xff\nlast\n")
        return f"{self.suite}/{folder}"

    def _with_text(self, document, path):
        """The document with the text added to that at `path`; to an object a key is added."""
        changed = json.loads(json.dumps(document))
        inner = at(changed, path[:-1])
        value = inner[path[-1]]
        if isinstance(value, dict):
            value[f"key{self.text}"] = next(iter(value.values()), self.text)
        else:
            inner[path[-1]] = f"{value}{self.text}"
        return changed

    def _fill_events(self, run):
        filled = []
        for line in map(json.loads, run.events.read_bytes().splitlines()):
            for path in texts(line):
                changed = self._with_text(line, path)
                if from_line(json.dumps(changed).encode()) is not None:
                    line = changed
            filled.append(line)
        run.events.write_text("".join(json.dumps(line) + "\n" for line in filled))


def texts(document):
    """The places of all texts in a document, and of the objects, to which a key can be added."""
    return [path for path in places(document) if path and isinstance(at(document, path), (str, dict))]


def at(document, path):
    for step in path:
        document = document[step]
    return document


def is_sound(run, name):
    """Whether the record is read as it stands."""
    if name == "structure.json":
        try:
            Structure.from_json(json.loads(run.structure.read_bytes()))
        except (S3Error, ValueError, KeyError):
            return False
    return not isinstance(read_run(run, "x/y").status, Damaged)


def slurm(folder):
    """Programs of Slurm that know one job, and say of it and of everything else what nobody would."""
    said = {
        "squeue": f"17_3|PENDING|why {EVIL}|at {EVIL}|0|0|s3tui-b\n", "sinfo": f"part{EVIL}\n",
        "scancel": f"scancel: no {EVIL}", "scontrol": f"scontrol: no {EVIL}", "sbatch": f"sbatch: error: no {EVIL}",
        "sacct": "",
    }  # fmt: skip
    folder.mkdir()
    for program, text in said.items():
        (folder / f"{program}.txt").write_text(text)
        path = folder / program
        path.write_text(
            f"#!/bin/sh\ncat {folder}/{program}.txt\nexit {int(program in ('scancel', 'scontrol', 'sbatch'))}\n"
        )
        path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
