"""GGUF files: their weights, which are quantised as a rule, unpacked once into a model folder."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from core.model.keys import check_keys
from core.model.limits import check_counts
from core.model.quantised import MOST_PER_BYTE
from core.run.errors import ModelError
from core.run.foreign import foreign


def unpack(name: str, file: Path, folder: Path) -> None:
    """Write the model of a GGUF file to a folder: weights in fp32, of which no bit is lost, and its tokenizer.

    Nothing is done if the folder is there. It appears whole or not at all, and of several that write it, one is kept.
    Raises ModelError if transformers cannot read the file.
    """
    if folder.is_dir():
        return
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(f"{name} is a GGUF file, which the package gguf reads", "pip install 's3tui[decoder]'")
    with foreign(f"the weights of {name} cannot be unpacked into {folder.parent}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        with foreign(f"the GGUF file {name} cannot be read (is it whole, with {file.stat().st_size:,} bytes?)"):
            _write(name, file, partial)
        with contextlib.suppress(OSError):  # another process has been faster
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(name: str, file: Path, folder: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    place: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    config = AutoConfig.from_pretrained(**place)
    check_counts(name, config.to_dict())
    auto, shape = _blank(config)
    _check_size(name, file, shape)
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that no setting of transformers turns off
        read, info = auto.from_pretrained(**place, dtype=torch.float32, output_loading_info=True)
    check_keys(name, info["missing_keys"], info["unexpected_keys"])
    # Another model is saved, as transformers keeps taking the one that was read for quantised.
    shape.load_state_dict(read.state_dict(), assign=True)
    shape.tie_weights()
    shape.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)


def _blank(config: Any) -> tuple[Any, Any]:
    """The class of transformers that writes with this configuration, and its network without weights."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device("meta"):
        return auto, auto.from_config(config, dtype=torch.float32)


def _check_size(name: str, file: Path, shape: Any) -> None:
    """Raise ModelError for a file that is too short for the network that it describes."""
    asked, held = sum(p.numel() for p in shape.parameters()), MOST_PER_BYTE * file.stat().st_size
    if asked > held:
        raise ModelError(f"{name} describes a model of {asked:,} parameters", "the file is too short for them")
