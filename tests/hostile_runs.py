"""A workspace with a healthy run and one whose files hold what nobody would write."""

import contextlib
import io
import json
import shutil
from pathlib import Path

from hypothesis import strategies as st

from core.run.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from core.run.events import (
    Checkpoint,
    EndedEarly,
    Eval,
    EventWriter,
    Failed,
    Finished,
    Gates,
    Phase,
    Space,
    Started,
    Step,
    StructureChosen,
)
from core.run.rundir import RunDir, write_json
from core.run.spaces import library_space
from core.run.spec import RunSpec
from core.run.structure import Candidate, Structure
from s3tui.cli.diagnostics import guarded
from s3tui.cli.main import app
from s3tui.runs.records.former_job import FormerJob
from s3tui.runs.records.job import Job
from s3tui.runs.records.queue import Queue
from s3tui.runs.workspace import Workspace

GOOD, BAD = "first/good", "first/bad"
BEGAN = 1_790_000_000.0
PLACE = "PLACE-OF-THE-VALUE"

JOBS = {
    "job.json": Job("slurm", "b", 3, "17_3", "working", state="RUNNING"),
    "slurm.json": FormerJob("b", 3, "17_3", "RUNNING"),
}

# Values as they stand in a file: of every kind, at and beyond every limit, and some that are no JSON.
VALUES = (
    "null", "true", "false", "0", "1", "-1", "2", "0.5", "-0.5", "1e-300", "1e99", "1e300", "1e999", "-1e999",
    "NaN", "Infinity", "-Infinity", str(2**31), str(2**40), str(2**62), str(2**63), "9" * 400, "9" * 5000,
    '""', '"x"', '"1"', '"false"', '"nan"', '"\\u001b]52;c;AAAA\\u0007"', '"\\ud800"', '"\\u0000"', '"../../etc"',
    '"/"', '"run:first/good"', '"cancelled"', '"given"', '"RUNNING"', '"$_{x$"', f'"{"x" * (2**20 + 1)}"',
    "[]", "[1]", "[null]", '["a", "a"]', "[[]]", "[0.5, 0.5, 0.5]", "[9]", "{}", '{"a": 1}', '{"a": 1, "a": 2}',
    '{"": null}', "[" * 70 + "]" * 70, '{"a":' * 900 + "1" + "}" * 900, "[" * 100_000, "",
)  # fmt: skip
# One of every kind, for a look at every field.
KINDS = (
    "null", "true", "0", "-1", "0.5", "1e300", "1e999", "NaN", "Infinity", str(2**62), "9" * 400,
    '""', '"1"', '"false"', '"\\ud800"', "[]", '["a", "a"]', "[9]", "{}", '{"a": 1}', "[" * 70 + "]" * 70,
)  # fmt: skip
CONTENTS = (
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b"\0" * 100, b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000,
    b"NaN", b"9" * 5000, b'{"v": 1} {"v": 2}',
)  # fmt: skip
values = st.sampled_from(VALUES) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
).map(json.dumps)


def candidates():
    kinds = [("attn.q", "lora(rank=1)", 60), ("attn.q", "bitfit", 30), ("norm.attn", "lnfit", 30)]
    return tuple(
        Candidate(site, "encoder", layer, f"encoder.{layer}.{site}", delta, count)
        for layer in range(2)
        for site, delta, count in kinds
    )


def events():
    """One event of every type, as a run tells them."""
    space = candidates()
    p = [0.1, 0.9, 0.4, 0.6, 0.3, 0.2]
    searching = {"validation_loss": 2.0, "alpha_gradient_norm": 0.1, "alpha_learning_rate": 0.1, "expected": 90.0,
                 "sampled": 95.0, "selected": 90, "shift": 0.2}  # fmt: skip
    yield Started("0", 1, 1, "cpu", "fp32", {"torch": "2.6.0"})
    yield Space([vars(c) for c in space], 240, 10_000, 50, 100)
    yield Phase("search", 30)
    for step in (10, 20, 30):
        yield Step("search", step, 3.0 / step, 1.0, 1e-3, **searching)
        yield Gates(step, p)
        yield Eval("search", step, "validation", {"accuracy": 0.01 * step, "f1": 0.1}, True)
    yield EndedEarly("search", 30, "nothing changes any more")
    yield Checkpoint("search", 30)
    yield StructureChosen([1, 3], 90)
    yield Phase("retrain", 30)
    for step in (10, 20, 30):
        yield Step("retrain", step, 2.0 / step, 1.0, 1e-3)
        yield Eval("retrain", step, "validation", {"accuracy": 0.02 * step}, True)
    yield Eval("test", 30, "test", {"accuracy": 0.7}, True)
    yield Finished(0.7, {"accuracy": 0.7}, 60.0)
    yield Failed("diverged", "the loss is not finite", "lower the learning rates")


def write_run(directory, method="s3"):
    """A finished run with every file that a run can have."""
    spec = RunSpec.model_validate(
        {"model": "m", "task": {"name": "icd10-chapter"}, "space": library_space("lora"), "budget": 100,
         "method": method}
    ).model_dump(mode="json")  # fmt: skip
    directory.create(spec)
    worker = {"pid": 2**22 + 1, "start": 1, "boot": "another"}
    write_json(directory.queue, Queue(submitted=BEGAN, tags=("a",)).to_json())
    write_json(
        directory.process,
        {"v": 1, "worker": worker, "supervisor": worker, "host": "elsewhere", "where": "1 core", "started": BEGAN,
         "grace": 60.0, "log_start": 0, "events_start": 0, "job": ""},
    )  # fmt: skip
    write_json(
        directory.exit,
        {"v": 1, "worker": worker, "code": 0, "signal": None, "out_of_memory": False, "asked": "", "seconds": 60.0,
         "peak_memory_bytes": 2**20, "gpu_joules": None, "ended": BEGAN},
    )  # fmt: skip
    write_json(
        directory.result,
        {"method": method, "task": "icd10-chapter", "model": "m", "seed": 0, "score": 0.7, "metric": "accuracy",
         "metrics": {"accuracy": 0.7}, "validation": {"accuracy": 0.6}, "budget": 100, "parameters": 90,
         "head_parameters": 50, "backbone_parameters": 10_000, "seconds": {"search": 30.0, "total": 60.0},
         "spec": "0", "versions": {"torch": "2.6.0"}},
    )  # fmt: skip
    write_json(
        directory.summary,
        {"v": 1, "status": "finished", "phase": "test", "step": 30, "total": 30, "score": 0.7, "best": 0.6,
         "parameters": 90, "used": 90.0, "budget": 100, "train_loss": 0.5, "validation_loss": 0.6, "seconds": 60.0,
         "updated": BEGAN, "ended_early": 30},
    )  # fmt: skip
    structure = Structure(candidates(), (0.1, 0.9, 0.4, 0.6, 0.3, 0.2), (1, 3), 100, "m")
    write_json(directory.structure, structure.to_json())
    write_events(directory, events())
    directory.log.write_text("loading\nsearching\n")
    directory.mirror.mkdir()
    write_json(directory.mirror / "tensorboard.json", {"v": 1, "known_as": "", "seq": 3})


def write_events(directory, told):
    now = iter(range(10_000))
    writer = EventWriter(directory.events, lambda: BEGAN + next(now))
    for event in told:
        writer.write(event)
    writer.close()


class Hostile:
    """The workspace; `renew` gives the bad run its sound files back."""

    def __init__(self, path: Path):
        self.workspace = Workspace(path / "runs")
        self.workspace.shared.mkdir(parents=True)
        self.workspace.pause.touch()  # nothing is ever started
        self._model = RunDir(path / "model")
        write_run(self.workspace.run(GOOD))
        write_run(self._model)
        self.outputs = path / "outputs"
        self.documents = {
            name: json.loads((self._model.path / name).read_bytes())
            for name in ("spec.json", "queue.json", "process.json", "exit.json", "result.json", "summary.json",
                         "structure.json", "mirror/tensorboard.json")
        }  # fmt: skip
        self.documents |= {name: json.loads(json.dumps({"v": 1} | vars(job))) for name, job in JOBS.items()}
        self.lines = [json.loads(line) for line in self._model.events.read_bytes().splitlines()]

    @property
    def bad(self):
        return self.workspace.run(BAD)

    def renew(self, finished=True, job=""):
        """The bad run as it should be: with its result or without, on this machine or with a job in this file."""
        shutil.rmtree(self.bad.path, ignore_errors=True)
        shutil.rmtree(self.outputs, ignore_errors=True)
        shutil.copytree(self._model.path, self.bad.path)
        self.outputs.mkdir()
        if not finished:
            self.bad.result.unlink()
        if job:
            write_json(self.bad.path / job, self.documents[job])

    def put(self, name, path, value):
        """Let a value stand in the place that a path names in a file of the bad run."""
        (self.bad.path / name).write_text(with_value(self.documents[name], path, value))

    def put_event(self, number, path, value):
        """The same in an event."""
        lines = [json.dumps(line) for line in self.lines]
        lines[number] = with_value(self.lines[number], path, value)
        self.bad.events.write_text("\n".join(lines) + "\n")

    def run(self, *arguments):
        """A command in this process: its exit code and what it printed."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = guarded(lambda: app([*arguments], prog_name="s3tui"))
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt  # it was the campaign that was ended
        assert code in (EXIT_OK, EXIT_FAILED, EXIT_USAGE), (code, err.getvalue())
        assert "Traceback" not in err.getvalue()
        return code, out.getvalue(), err.getvalue()

    def on(self, *arguments):
        """A command that takes `--in`."""
        return self.run(*arguments, "--in", str(self.workspace.path))


def places(value, path=()):
    """The paths of all values in a document, of lists the first two."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    if isinstance(value, list):
        for number, inner in enumerate(value[:2]):
            yield from places(inner, (*path, number))


def with_value(document, path, value):
    """The document as JSON, with other text in one place."""
    if not path:
        return value
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = PLACE
    return json.dumps(copy).replace(json.dumps(PLACE), value)
