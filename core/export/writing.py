"""Writes the folder of an export, atomically; an existing folder is never changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import core
from core.adapters.saved import load_adapter
from core.export.adapter import adapter, head_module, task_type
from core.export.card import PROMPT, card
from core.export.source import Source, read_source
from core.model.backbone import load_shape
from core.model.configuration import Kind
from core.run.errors import ModelError, RunDirError, S3Error

HEADED = "text-classification"
PIPELINES: dict[Kind, str] = {
    "encoder": HEADED,
    "decoder": "text-generation",
    "encoder-decoder": "text2text-generation",
}
SHOWN = 3  # candidates named in an error message


def export(path: Path, kind: str, output: Path, push: str | None = None) -> dict[str, Any]:
    """Export a run, and upload the export if `push` names a repository; returns a description with file sizes in bytes.

    Raises RunDirError if the run is not finished or `output` exists, ModelError if this kind of export cannot express
    the structure.
    """
    token = _token() if push else ""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise RunDirError(f"{output} exists already", "name another folder, or delete it first")
    source = read_source(path)
    half = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        _make(half, output)
        WRITERS[kind](source, half)
        if source.file.reading.prompt:
            (half / PROMPT).write_text(source.file.reading.prompt, encoding="utf-8", newline="")
        pipeline = HEADED if source.has_head else PIPELINES[load_shape(source.file.model)[1]]
        (half / "README.md").write_text(card(source, kind, pipeline), encoding="utf-8")
        half.replace(output)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    files = {p.relative_to(output).as_posix(): p.stat().st_size for p in sorted(output.rglob("*")) if p.is_file()}
    return {"folder": str(output), "kind": kind, "files": files, "url": _push(output, push, token) if push else None}


def _make(half: Path, output: Path) -> None:
    try:
        half.mkdir(parents=True)
    except OSError as error:
        raise RunDirError(f"{output} cannot be made", str(error.strerror)) from None


def _delta(source: Source, folder: Path) -> None:
    """Our own format: a copy of the run's delta file, and the chosen part of its structure."""
    if source.file.adapter is not None:
        raise ModelError("the run has trained an adapter of PEFT, which is no delta of ours", "--to peft writes it")
    shutil.copyfile(source.run.delta, folder / source.run.delta.name)
    _json(folder / source.run.structure.name, source.chosen().to_json())


def _merged(source: Source, folder: Path) -> None:
    """A complete model: fp32 weights with everything merged in, configuration and tokenizer."""
    backbone = source.backbone()
    if source.file.adapter is not None:
        # With the head in the model itself: PEFT does not put back the heads of all methods.
        load_adapter(backbone.model, source.file, source.base).merge_and_unload().save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)
        return
    model: Any = backbone.model
    merged = core.merge_delta(model, source.run.path)
    merged.attached.detach()
    if merged.left:
        listed = ", ".join(f"{name} ({why})" for name, why in list(merged.left.items())[:SHOWN])
        more = f" and {len(merged.left) - SHOWN} more" if len(merged.left) > SHOWN else ""
        raise ModelError(f"weights cannot hold {listed}{more}", "--to delta holds every structure")
    model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)


def _peft(source: Source, folder: Path) -> None:
    """A PEFT adapter: as PEFT saves it if PEFT has trained it, or what of ours PEFT can express."""
    backbone = source.backbone()
    if source.file.adapter is not None:
        heads = list(dict.fromkeys(head_module(name) for name in source.file.own))
        adapted = load_adapter(backbone.model, source.file, source.base, task_type(backbone), heads)
        adapted.save_pretrained(folder, save_embedding_layers=False)
    else:
        config, tensors = adapter(backbone, source.file, source.base)
        _json(folder / "adapter_config.json", config)
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, folder / "adapter_model.safetensors", {"format": "pt"})
    if source.has_head:  # PEFT stores nothing of it but weights, so the model's configuration is saved beside them
        model: Any = backbone.model
        model.config.save_pretrained(folder)


WRITERS: dict[str, Callable[[Source, Path], None]] = {"delta": _delta, "merged": _merged, "peft": _peft}


def _json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _token() -> str:
    from huggingface_hub import get_token

    token: str | None = get_token()
    if token is None:
        raise S3Error("there is no token for the hub", "log in with `hf auth login`, or set HF_TOKEN")
    return token


def _push(folder: Path, name: str, token: str) -> str:
    """Upload the folder as one commit; a missing repository is created as a private one."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    try:
        url = api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(repo_id=url.repo_id, folder_path=folder, commit_message="Export of s3tui")
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise S3Error(f"the hub did not take {name}: {reason}", f"the export itself is in {folder}") from None
    return str(url)
