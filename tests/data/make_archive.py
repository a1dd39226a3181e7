"""Makes `archive-VERSION.tar.gz` and `archive-VERSION.json` of the version that runs it: what it leaves on disk.

An archive is made once, by the version that it is named after, and never again: it stands for the files that users of
that version have. Needs root, to have the same paths and host name wherever it runs, and Slurm:

    unshare --mount --uts .venv/bin/python tests/data/make_archive.py

Real runs of a tiny model, in states as they come about: finished, failed, cancelled, waiting, paused in the middle of
a search, cut off by the end of the machine; and on a cluster: finished, cancelled, at work, pending and held.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent), str(HERE.parent / "launchers")]

from archived import CLUSTER, DATA, LOCAL, PLACE, PYTHON, SUITES, as_json, command, environment, observed, unpack  # noqa: E402
from cluster import Cluster  # noqa: E402

HOST = "workstation-17"
ROOT = Path(PLACE)
DAY = 1_735_689_600  # 2025-01-01
MODEL = "example/tiny-bert"
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] of with without and or to in by the other unspecified left right initial encounter "
    "subsequent sequela fracture open closed type displaced nondisplaced disorder disease acute chronic syndrome "
    "pregnancy poisoning injury contact accident pain benign malignant neoplasm infection due"
)

HEAD = """
[suite]
name = "{name}"
workspace = "{workspace}"
threads = 1
retries = 3

[defaults]
model = "example/tiny-bert"
task = {{ name = "icd10-chapter", per_class = 40, max_length = 16 }}
space = "mix-low-rank"
budget = 200
checkpoint_every = 10

[defaults.search]
max_steps = 12
eval_every = 6
batch_size = 8
learning_rate = 1e-2

[defaults.retrain]
max_steps = 30
eval_every = 10
batch_size = 16
learning_rate = 3e-2
"""

TINY = (
    HEAD.format(name="tiny", workspace=LOCAL)
    + """
[experiment.searched]
matrix = { seed = [0, 1] }
tags = ["paper", "first"]

[experiment.ranks]
space = "ranks"
log_to = ["tensorboard"]

[experiment.pruned]
method = "bipeft"
space = "ranks"
search = { max_steps = 20 }

[experiment.all]
method = "fixed"
space = "queries"
budget = "none"

[experiment.by-chance]
method = "random"

[experiment.whole]
method = "full"
budget = "none"

[experiment.carried]
structure = "run:searched/seed=0"

[experiment.paused]
search = { max_steps = 150, eval_every = 20 }

[experiment.cut-off]
space = "ranks"
search = { max_steps = 150, eval_every = 20 }
seed = 1

[experiment.cancelled]
seed = 7
resources = { gpus = 1, memory = "2GB" }

[experiment.waiting]
seed = 2
priority = 5
tags = ["later"]

[experiment.after]
structure = "run:paused"

[space.ranks]
"attn.{q,v}" = ["lora(rank=[1, 2, 4])", "bitfit"]

[space.queries]
"attn.{q,v}" = ["lora(rank=1)"]
"""
)

BROKEN = (
    HEAD.format(name="broken", workspace=LOCAL)
    + """
[experiment.no-data]
task = { path = "reviews.jsonl", text = "text", label = "label" }
"""
)

ON_CLUSTER = (
    HEAD.format(name="cluster", workspace=CLUSTER)
    + """
[launcher]
kind = "slurm"
partition = "main"
cpus = 1
time = "30"
parallel = 1
setup = ["export SET_UP=yes"]
sbatch = { comment = "a tiny search" }

[experiment.done]
tags = ["cluster"]

[experiment.taken-away]
space = "queries"
search = { max_steps = 150, eval_every = 20 }

[experiment.at-work]
space = "queries"
search = { max_steps = 150, eval_every = 20 }
priority = -1
seed = 3

[experiment.pending]
priority = -1
seed = 1

[experiment.held]
priority = -1
seed = 2

[experiment.not-submitted]
seed = 4
priority = -3
tags = ["cluster", "later"]

[space.queries]
"attn.{q,v}" = ["lora(rank=2)", "bitfit"]
"""
)


def main() -> None:
    """Make the archive of this version."""
    _own_machine()
    _write_inputs()
    _local_runs()
    with tempfile.TemporaryDirectory() as folder, _cluster(Path(folder)):
        _cluster_runs()
        _pack(file := DATA / f"archive-{version('s3tui')}.tar.gz")
        for run in ("at-work", "pending", "held"):
            subprocess.run(["scancel", _job(run)["id"]], check=True)
    print(f"{file}: {file.stat().st_size:,} bytes")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["hostname", "elsewhere"], check=True)  # it is read on other machines than it was made on
        root = unpack(version("s3tui"), Path(folder))
        shown = {workspace: observed(root, workspace) for workspace in SUITES}
        (DATA / f"archive-{version('s3tui')}.json").write_text(json.dumps(shown, indent=1) + "\n")
        _check_that_the_paused_run_loses_nothing(root)


def _own_machine() -> None:
    """The paths and the name of a user's machine, in namespaces of this process and its children alone."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/home"], check=True)
    subprocess.run(["hostname", HOST], check=True)
    venv = Path(PYTHON).parents[1]
    venv.parent.mkdir()
    venv.symlink_to(Path(sys.prefix).resolve())
    sys.executable = PYTHON
    os.environ.pop("NO_COLOR", None)


def _write_inputs() -> None:
    ROOT.mkdir()
    (ROOT / "tiny.toml").write_text(TINY.lstrip())
    (ROOT / "broken.toml").write_text(BROKEN.lstrip())
    (ROOT / "cluster.toml").write_text(ON_CLUSTER.lstrip())
    _write_model(ROOT / "hub" / "hub" / f"models--{MODEL.replace('/', '--')}")


def _write_model(folder: Path) -> None:
    """A BERT of two tiny layers as the cache of the hub keeps one."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(0)
    revision = "0123456789abcdef0123456789abcdef01234567"
    words = WORDS.split()
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=24, pad_token_id=0,
    )  # fmt: skip
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision)
    model = transformers.BertModel(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:  # large enough to tell texts apart
            torch.nn.init.normal_(parameter, std=1.0 if "embed" in name else parameter.shape[-1] ** -0.5)
    model.save_pretrained(folder / "snapshots" / revision)
    tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="[PAD]", unk_token="[UNK]", model_max_length=24
    ).save_pretrained(folder / "snapshots" / revision)


def _local_runs() -> None:
    ended = ("searched/*", "ranks", "pruned", "all", "by-chance", "whole")
    _do("run", SUITES[LOCAL], *(word for name in ended for word in ("--only", name)))
    _do("gc", "--in", LOCAL)
    _do("run", SUITES[LOCAL], "--only", "carried")  # which keeps its checkpoints
    _do("pause", "--in", LOCAL)
    reviews = ROOT / "reviews.jsonl"
    reviews.write_text('{"text": "good", "label": "a"}\n{"text": "bad", "label": "b"}\n')
    _do("run", "broken.toml", "--detach")
    reviews.unlink()
    _do("resume", "--in", LOCAL)
    _wait(lambda: _status(LOCAL, "broken/no-data") == "failed")
    _do("run", SUITES[LOCAL], "--only", "paused", "--detach")
    worker = _frozen("tiny/paused", 20)["worker"]["pid"]
    with subprocess.Popen([PYTHON, "-m", "s3tui", "stop", "paused", "--in", LOCAL], cwd=ROOT) as stop:
        _wait(lambda: _is_asked_to_end(worker))
        os.kill(worker, signal.SIGCONT)
    assert stop.returncode == 0
    _do("run", SUITES[LOCAL], "--only", "cut-off", "--detach")
    process = _frozen("tiny/cut-off", 10)
    _do("pause", "--in", LOCAL)
    _do("run", SUITES[LOCAL], "--only", "cancelled", "--only", "waiting", "--only", "after", "--detach")
    _do("cancel", "cancelled", "--in", LOCAL)
    _wait(lambda: len(_read(ROOT / LOCAL / ".s3tui/waiting.json")) == 2)
    # The end of the machine: the dispatcher first, so that it sees nothing of it.
    for pid in (_dispatcher(LOCAL), process["supervisor"]["pid"], process["worker"]["pid"]):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[None]:
    there = Cluster(folder)
    try:
        there.start()
        yield
    finally:
        there.stop()


def _cluster_runs() -> None:
    run = ("run", SUITES[CLUSTER])
    _do(*run, "--only", "done")
    _do("gc", "--in", CLUSTER)
    _do(*run, "--only", "taken-away", "--detach")
    _frozen("cluster/taken-away", 10, CLUSTER)
    subprocess.run(["scancel", _job("taken-away")["id"]], check=True)
    _wait(lambda: _status(CLUSTER, "cluster/taken-away") == "cancelled")
    _do(*run, "--only", "at-work", "--only", "pending", "--only", "held", "--detach")
    _frozen("cluster/at-work", 10, CLUSTER)
    _wait(lambda: _job("pending")["reason"] and _job("held")["reason"])
    _do("stop", "held", "--in", CLUSTER)
    _do("pause", "--in", CLUSTER)
    _do(*run, "--only", "not-submitted", "--detach")
    _wait(lambda: "cluster/not-submitted" in _read(ROOT / CLUSTER / ".s3tui/waiting.json"))
    _wait(lambda: _job("held")["reason"].startswith("JobHeld"))
    os.kill(_dispatcher(CLUSTER), signal.SIGKILL)


def _do(*arguments: str) -> None:
    done = command(ROOT, *arguments, PATH=os.environ["PATH"])
    print(f"$ s3tui {' '.join(arguments)}\n{done.stdout}{done.stderr}", flush=True)
    assert done.returncode == 0


def _wait(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not _holds(condition):
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _holds(condition: Callable[[], Any]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(condition())
    return False


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _status(workspace: str, name: str) -> str:
    return as_json(ROOT, "show", name, "--in", workspace)["status"]


def _dispatcher(workspace: str) -> int:
    return as_json(ROOT, "status", "--in", workspace)["dispatcher"]["pid"]


def _job(run: str) -> dict[str, Any]:
    return _read(ROOT / CLUSTER / "cluster" / run / "slurm.json")


def _frozen(run: str, step: int, workspace: str = LOCAL) -> Any:
    """The processes of a run, its worker stopped where it is once it has left a checkpoint of a step of the search."""
    folder = ROOT / workspace / run
    _wait(lambda: any(path.stem >= f"search-{step:08d}" for path in (folder / "checkpoint").glob("search-*")))
    process = _read(folder / "process.json")
    os.kill(process["worker"]["pid"], signal.SIGSTOP)
    return process


def _is_asked_to_end(pid: int) -> bool:
    """Whether SIGTERM waits for a process that is stopped."""
    pending = Path(f"/proc/{pid}/status").read_text().partition("ShdPnd:")[2].split()[0]
    return bool(int(pending, 16) & 1 << (signal.SIGTERM - 1))


def _pack(file: Path) -> None:
    """Everything with its links, as nobody's and of one day, so that no heartbeat is ever from a moment ago."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = DAY
        return entry

    with gzip.GzipFile(file, "wb", 9, mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        archive.add(ROOT, "experiments", filter=anonymous)


def _check_that_the_paused_run_loses_nothing(root: Path) -> None:
    """On the machine that saved it, a run goes on to the very bits of one that nobody stopped."""
    paused, undisturbed = root / LOCAL / "tiny/paused", root / "undisturbed"
    undisturbed.mkdir()
    shutil.copy(paused / "spec.json", undisturbed)
    for run in (paused, undisturbed):
        worker = [sys.executable, "-m", "core", str(run)]
        subprocess.run(worker, env=environment(root), cwd=run, check=True, capture_output=True)
    for name in ("structure.json", "delta.safetensors"):
        assert (paused / name).read_bytes() == (undisturbed / name).read_bytes(), name
    print("the paused run goes on to the bits of the one that nobody stopped")


if __name__ == "__main__":
    main()
