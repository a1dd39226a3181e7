"""Checks whether this machine can run the default suite, and what is missing; imports nothing heavy itself."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.run.errors import ModelError, SpecError
from core.run.modelfiles import SMOLLM2, gguf_file
from s3tui.devices.nvml import visible_gpus
from s3tui.launchers.registry import LAUNCHERS, launcher_named
from s3tui.runs.records.launch import LOCAL
from s3tui.system.child import PYTHON, surroundings
from s3tui.system.cpu import usable_cores

HUB_SECONDS = 3.0  # time-out of the hub
TORCH_SECONDS = 60.0  # time-out of the process that imports torch


@dataclass(frozen=True)
class Check:
    """One check; `needed`: whether the default suite needs it."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def examine() -> list[Check]:
    """All checks of this machine."""
    return [
        Check("python", True, f"{platform.python_version()} ({platform.python_implementation()})"),
        Check("platform", True, platform.platform()),
        *_packages(),
        _gpus(),
        _precision(),
        Check("cores", True, f"{usable_cores()} usable of {os.cpu_count()}"),
        *_launchers(),
        _decoder(),
        _hub(),
        Check("hub cache", True, str(_hub_cache()), needed=False),
        _workspace(Path("runs")),
    ]


def can_run(checks: list[Check]) -> bool:
    """Whether the default suite can run here."""
    return all(check.ok for check in checks if check.needed)


def _packages() -> Iterator[Check]:
    """The packages that s3tui requires, and those of the default model and task."""
    try:
        requirements = importlib.metadata.requires("s3tui") or []
    except importlib.metadata.PackageNotFoundError:
        yield Check("s3tui", False, "not installed: pip install -e '.[demo]'")
        return
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)", requirement)
        if extra is None or extra[1] == "demo":
            yield _package(name, "s3tui[demo]" if extra else name)


def _package(name: str, bringer: str) -> Check:
    try:
        return Check(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, f"missing: pip install '{bringer}'")


def _decoder() -> Check:
    """The builtin language model."""
    try:
        file = gguf_file(SMOLLM2)
    except ModelError as error:
        return Check(SMOLLM2, False, f"missing: {error.hint}", needed=False)
    detail = f"{file and file.name}: weights quantised to 4 bits, de-quantised (540 MB) when it is first used"
    return Check(SMOLLM2, True, detail, needed=False)


def _gpus() -> Check:
    gpus = visible_gpus()
    found = ", ".join(f"{gpu.name} {gpu.memory_bytes / 2**30:.0f} GiB" for gpu in gpus)
    limit = os.environ.get("CUDA_VISIBLE_DEVICES")
    none = (
        "none that NVML shows" if limit is None else f"none that NVML shows and CUDA_VISIBLE_DEVICES={limit!r} leaves"
    )
    return Check("gpus", bool(gpus), found or f"{none}; runs use the CPU", needed=False)


def _launchers() -> Iterator[Check]:
    """Where else runs could be started from here."""
    for name in LAUNCHERS:
        if name != LOCAL:
            yield _launcher(name)


def _launcher(name: str) -> Check:
    try:
        launcher = launcher_named(name)
        problem = launcher.unavailable()
        return Check(name, not problem, problem or launcher.about(), needed=False)
    except SpecError as error:
        return Check(name, False, str(error), needed=False)


def _precision() -> Check:
    """What `precision = "auto"` is here. A process with torch is asked, as torch alone knows what it computes with."""
    command = [*PYTHON, "-m", "core.precision"]
    try:
        child = subprocess.run(
            command, capture_output=True, check=False, text=True, timeout=TORCH_SECONDS, **surroundings()
        )
        answer = json.loads(child.stdout)
    except (ValueError, subprocess.TimeoutExpired):
        return Check("precision", False, "torch does not answer: python -m core.precision", needed=False)
    return Check("precision", True, f"auto is {answer['precision']} on {answer['device']}: {answer['reason']}")


def _hub() -> Check:
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Check("hub", False, "HF_HUB_OFFLINE is set; only what is in the cache is used", needed=False)
    problem = _problem_with(address)
    return Check("hub", not problem, f"{address} {problem or 'answers'}", needed=False)


def _problem_with(address: str) -> str:
    """Why an address does not answer; empty if it does."""
    problem = [f"does not answer within {HUB_SECONDS:g} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            with urllib.request.urlopen(request, timeout=HUB_SECONDS):
                problem.append("")
        except urllib.error.HTTPError as error:
            problem.append(f"answers {error.code}")
        except (OSError, ValueError) as error:
            problem.append(f"cannot be reached: {getattr(error, 'reason', error)}")

    # In a thread, since the timeout of urllib does not cover name resolution.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_SECONDS)
    return problem[-1]


def _hub_cache() -> Path:
    """The cache folder of models and data sets of the hub."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _workspace(folder: Path) -> Check:
    folder = folder.resolve()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return Check("workspace", writable, f"{folder}{'' if writable else ' cannot be written to'}")
