"""A model whose folder has its own code: run only where the settings say so, and exports say it too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from support import batch, build, make_run, run_spec, save_model, save_reviews, space
from transformers import AutoModelForCausalLM

import core
from core.export.writing import export
from core.model.backbone import load_backbone
from core.model.deltafile import read_delta
from core.run.errors import EXIT_OK, ModelError
from core.sites import describe
from core.worker.execute import execute

CONFIGURATION = "from transformers import LlamaConfig\n\n\nclass OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
MODELING = (
    "from transformers import LlamaForCausalLM\n\nfrom .configuration_own import OwnConfig\n\n\n"
    "class OwnForCausalLM(LlamaForCausalLM):\n    config_class = OwnConfig\n"
)
CLASSES = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
TABLE = {"self_attn.{q_proj,v_proj}": ["lora(rank=1)"]}


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    """transformers copies code to where it is imported from."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A Llama by another name, with the code that says so."""
    made = save_model("llama", tmp_path / "own")
    config = json.loads((made / "config.json").read_text())
    changed = config | {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": CLASSES}
    (made / "config.json").write_text(json.dumps(changed))
    (made / "configuration_own.py").write_text(CONFIGURATION)
    (made / "modeling_own.py").write_text(MODELING)
    return made


def test_code_of_a_model_runs_only_where_the_settings_say_so_and_exports_remember_it(tmp_path, folder):
    for look in (lambda: describe(str(folder), []), lambda: load(folder, trust=False)):
        with pytest.raises(ModelError, match=r"needs code of its own, .*: read it, and set trust_remote_code = true"):
            look()
    assert not (tmp_path / "modules").exists()
    found = describe(str(folder), [space(TABLE)], trust=True)
    assert (found["kind"], found["canonical"], found["spaces"][0]["candidates"]) == ("decoder", False, 4)

    data = save_reviews(tmp_path / "reviews.jsonl", rows=60)
    retrain = {"max_steps": 3, "eval_every": 3, "learning_rate": 0.05}
    own = {"method": "fixed", "budget": None, "space": space(TABLE), "retrain": retrain}
    run = make_run(tmp_path / "run", run_spec(folder, data, trust_remote_code=True, **own))
    assert execute(run) == EXIT_OK
    assert read_delta(run.path).reading.trust_remote_code

    expected = answers(run.path, load(folder).model)
    export(run.path, "delta", tmp_path / "delta")
    assert 'from_pretrained("own", trust_remote_code=True)' in (tmp_path / "delta" / "README.md").read_text()
    with pytest.raises(ModelError, match="code of its own: load it with trust_remote_code=True"):
        core.load_delta(build("bert"), tmp_path / "delta")

    export(run.path, "merged", tmp_path / "merged")
    shutil.rmtree(folder)
    assert 'from_pretrained("DIR", trust_remote_code=True)' in (tmp_path / "merged" / "README.md").read_text()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", trust_remote_code=True)
    with torch.no_grad():
        torch.testing.assert_close(merged.eval()(**batch("llama")).logits, expected, rtol=1e-4, atol=1e-5)


def load(folder: Path, trust: bool = True):
    return load_backbone(str(folder), 2, False, torch.device("cpu"), torch.float32, 0, trust=trust)


def answers(run: Path, model) -> torch.Tensor:
    core.load_delta(model, run)
    with torch.no_grad():
        return model(**batch("llama")).logits
