"""The files of a finished run that an export needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch

from core.model.backbone import Backbone, open_pretrained
from core.model.deltafile import DeltaFile, read_delta
from core.model.head_config import HeadConfig
from core.run.errors import RunDirError
from core.run.fields import Count, Like
from core.run.modelfiles import GGUF, SMOLLM2, gguf_name
from core.run.rundir import RunDir, read_record
from core.run.structure import Structure, read_structure

# The names of the builtin models on the hub.
HUB_NAMES = {
    "builtin:minilm": "sentence-transformers/all-MiniLM-L6-v2",
    SMOLLM2: "HuggingFaceTB/SmolLM2-135M-Instruct",
}


@dataclass(frozen=True)
class _Result:
    """The fields of a result that an export needs."""

    method: str
    metric: str
    score: float
    seed: Count
    parameters: Count
    head_parameters: Count
    backbone_parameters: Count
    versions: dict[str, str]


_RESULT: Any = Annotated[dict[str, Any], Like(lambda: _Result)]


@dataclass(frozen=True)
class Source:
    """A finished run: its trained tensors, structure and result."""

    run: RunDir
    file: DeltaFile
    structure: Structure
    result: dict[str, Any]

    @property
    def base(self) -> str:
        """The model that the run started from: its name on the hub, or its folder."""
        return HUB_NAMES.get(self.file.model, self.file.model)

    @property
    def is_on_hub(self) -> bool:
        """Whether the base is a model of the hub, and not a local folder or file."""
        return not Path(self.base).is_dir() and not self.base.endswith(GGUF)

    @property
    def local(self) -> str:
        """What a base that is not on the hub is: a folder, or a file."""
        return "file" if self.base.endswith(GGUF) else "folder"

    @property
    def quantised(self) -> str:
        """How the weights are quantised, in words; empty if they are not."""
        if file := gguf_name(self.file.model):
            return f"quantised in {file}, and trained on as they are de-quantised"
        method = self.file.reading.quantised
        return f"quantised by {method}, and trained beside" if method else ""

    @property
    def task(self) -> str:
        """The task's name; for a task from files the file name alone, as folder names may be private."""
        return Path(self.file.task).stem

    def chosen(self) -> Structure:
        """The structure without the candidates that were not chosen."""
        p = tuple(self.structure.p[i] for i in self.structure.selected)
        selected = tuple(range(len(p)))
        return replace(self.structure, candidates=self.structure.chosen, p=p, selected=selected)

    def backbone(self) -> Backbone:
        """The model that the run started from, in fp32 on the CPU, with a head of the run's shape."""
        outputs, cpu = self.file.outputs or 1, torch.device("cpu")
        model = open_pretrained(self.file.model, self.has_head, self.trusts)
        backbone = model.load(outputs, outputs == 1, cpu, torch.float32, 0)
        HeadConfig(backbone.model, self.file.labels)
        return backbone

    @property
    def trusts(self) -> bool:
        """Whether the model runs code from its own files."""
        return self.file.reading.trust_remote_code

    @property
    def has_head(self) -> bool:
        """Whether the run has trained a classification head."""
        return self.file.outputs > 0

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of the head; empty if there is no such head."""
        return self.file.labels if len(self.file.labels) == self.file.outputs else ()


def read_source(path: Path) -> Source:
    """Read a run; raises RunDirError if it is not finished or one of its files is damaged."""
    run = RunDir(path)
    if not run.result.exists():
        raise RunDirError(f"{path} has no result yet", "export a run that is finished")
    return Source(run, read_delta(path), read_structure(run.structure), read_record(run.result, _RESULT))
