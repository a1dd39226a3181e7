"""What other people's code loads: exports of real runs, in a process that has nothing of this project."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from safetensors.torch import load_file
from support import batch, make_run, run_spec, save_model, save_reviews, space

import core
from core.export.card import card
from core.export.source import read_source
from core.export.writing import export
from core.model.backbone import Backbone, load_backbone
from core.model.deltafile import read_delta
from core.run.errors import EXIT_OK, EXIT_USAGE, ModelError, RunDirError, S3Error
from core.run.events import read_events
from core.run.given import given_space
from core.run.methods import OWN
from core.run.rundir import RunDir, read_json
from core.run.spaces import SpaceSpec
from core.run.spec import RunSpec
from core.run.structure import Structure
from core.sites import describe
from core.worker.execute import execute

MIXED = {
    "attn.{q,v}": ["lora(rank=1)", "bitfit"],
    "ffn.out": ["lora(rank=2, alpha=8)"],
    "attn.k": ["bitfit"],
    "norm.*": ["lnfit", "bitfit"],
}
# By name: the family, its space, and the forms that hold it.
RUNS: dict[str, tuple[str, dict[str, list[str]], tuple[str, ...]]] = {
    "bert": ("bert", MIXED, ("delta", "merged", "peft")),
    "norms": ("bert", {"norm.*": ["lnfit"]}, ("merged", "peft")),
    "biases": ("bert", {"attn.{q,k}": ["bitfit"], "norm.attn": ["lnfit"]}, ("peft",)),
    "two-ranks": ("distilbert", {"attn.q": ["lora(rank=1)", "lora(rank=2)"]}, ("merged", "peft")),
    "roberta": ("roberta", {"attn.*": ["lora(rank=1)"]}, ("merged", "peft")),
    "t5": ("t5", {"{attn,cross}.{q,v}": ["lora(rank=1)"], "norm.*": ["lnfit"]}, ("merged", "peft")),
    "gpt2": ("gpt2", {"attn.qkv": ["lora(rank=2)", "bitfit"]}, ("merged", "peft")),
    "headed": ("gpt2", {"attn.qkv": ["lora(rank=2)", "bitfit"]}, ("merged", "peft")),
    "adapters": ("bert", {"block.ffn": ["adapter(bottleneck=1)"], "attn.q": ["lora(rank=1)"]}, ("delta",)),
}
# How rows are read, where that is not as usual.
READ: dict[str, dict[str, Any]] = {"headed": {"head": True}, "gpt2": {"prompt": "{text} mood ", "shots": 2}}
CASES = [(name, kind) for name, (_, _, kinds) in RUNS.items() for kind in kinds if kind != "delta"]

LOADER = """
import json, sys
sys.modules["core"] = sys.modules["s3tui"] = None
import torch, transformers
from peft import PeftModel

for case in json.load(sys.stdin):
    auto = getattr(transformers, case["class"])
    if case["kind"] == "merged":
        model, info = auto.from_pretrained(case["folder"], output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
    else:
        model = PeftModel.from_pretrained(auto.from_pretrained(case["base"], num_labels=2), case["folder"])
    with torch.no_grad():
        logits = model.eval()(**torch.load(case["batch"])).logits
    torch.save(logits, case["folder"] + "/logits.pt")
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, RunDir]:
    """Finished runs of tiny models, one for each case."""
    root = tmp_path_factory.mktemp("exports")
    data = save_reviews(root / "reviews.jsonl", rows=60)
    made = {}
    for name, (family, table, _) in RUNS.items():
        if not (root / family).exists():
            save_model(family, root / family)
        spec = run_spec(
            root / family, data, method="fixed", budget=None, space=space(table),
            retrain={"max_steps": 3, "eval_every": 3, "learning_rate": 0.05}, **READ.get(name, {}),
        )  # fmt: skip
        made[name] = make_run(root / name, spec)
        assert execute(made[name]) == EXIT_OK
    return made


def base_of(run: RunDir, family: str) -> Any:
    """The model of a run with the delta of its file, as `load_delta` gives it."""
    backbone = plain(run)
    core.load_delta(backbone.model, run.path)
    with torch.no_grad():
        return backbone.model(**tokens(run, family)).logits


def plain(run: RunDir) -> Backbone:
    """The model of a run as it was before."""
    spec = read_json(run.spec)
    return load_backbone(spec["model"], 2, False, torch.device("cpu"), torch.float32, 5, spec["head"])


def tokens(run: RunDir, family: str) -> dict[str, torch.Tensor]:
    """A batch of the family, without its labels where those are for a model that writes."""
    return {key: x for key, x in batch(family).items() if key != "labels" or not read_json(run.spec)["head"]}


@pytest.fixture(scope="module")
def loaded(runs, tmp_path_factory) -> dict[tuple[str, str], Path]:
    """Every export, loaded and asked in one process of its own; the answers lie in its folder."""
    root = tmp_path_factory.mktemp("out")
    cases = []
    for name, kind in CASES:
        family = RUNS[name][0]
        told = export(runs[name].path, kind, root / name / kind)
        torch.save(tokens(runs[name], family), root / f"{name}.pt")
        kinds = {"t5": "AutoModelForSeq2SeqLM", "gpt2": "AutoModelForCausalLM"}
        cases.append(
            {"kind": kind, "folder": told["folder"], "base": read_json(runs[name].spec)["model"],
             "batch": str(root / f"{name}.pt"), "class": kinds.get(name, "AutoModelForSequenceClassification")}
        )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LOADER], input=json.dumps(cases), capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
    return {case: root / case[0] / case[1] for case in CASES}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_an_export_gives_the_same_logits_in_a_process_without_this_project(runs, loaded, name, kind):
    expected = base_of(runs[name], RUNS[name][0])
    found = torch.load(loaded[name, kind] / "logits.pt")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    with torch.no_grad():
        before = plain(runs[name]).model(**tokens(runs[name], RUNS[name][0])).logits
    assert (before - expected).abs().max() > 1e-3


def test_an_export_has_the_prompt_with_its_examples_and_the_token_of_padding(runs, loaded):
    frame = (loaded["gpt2", "merged"] / "prompt.txt").read_text()
    assert frame == read_delta(runs["gpt2"].path).reading.prompt
    *examples, row = frame.split("\n\n")
    assert row == "{text} mood "
    assert sorted(example.rpartition(" mood ")[2] for example in examples) == ["bad", "good"]
    card = (loaded["gpt2", "merged"] / "README.md").read_text()
    assert "It was trained on the prompt in `prompt.txt`" in card
    assert examples[0] not in card
    assert (loaded["t5", "peft"] / "prompt.txt").read_text() == "reviews text: {text}"
    assert not (loaded["bert", "peft"] / "prompt.txt").exists()
    headed = plain(runs["headed"]).model
    headed.config.pad_token_id = None
    core.load_delta(headed, runs["headed"].path).detach()
    assert headed.config.pad_token_id is None
    core.load_delta(headed, runs["headed"].path)
    assert headed.config.pad_token_id == read_delta(runs["headed"].path).reading.padding == 0
    assert headed.config.id2label == {0: "bad", 1: "good"}


def test_a_lora_config_names_every_module_with_its_rank_and_alpha(loaded):
    config = read_json(loaded["bert", "peft"] / "adapter_config.json")
    layer = "bert.encoder.layer.{}.{}"
    ranks = {layer.format(i, f"attention.self.{x}"): 1 for i in (0, 1) for x in ("query", "value")}
    ranks |= {layer.format(i, "output.dense"): 2 for i in (0, 1)}
    assert config["rank_pattern"] == ranks
    assert set(config["target_modules"]) == set(ranks)
    assert config["alpha_pattern"] == {path: 16 if rank == 1 else 8 for path, rank in ranks.items()}
    assert (config["peft_type"], config["bias"], config["task_type"]) == ("LORA", "all", "SEQ_CLS")
    assert read_json(loaded["norms", "peft"] / "adapter_config.json")["peft_type"] == "LN_TUNING"


def test_an_exported_delta_loads_as_its_run_does(runs, tmp_path):
    told = export(runs["adapters"].path, "delta", tmp_path / "out")
    assert set(told["files"]) == {"README.md", "delta.safetensors", "structure.json"}
    spec = read_json(runs["adapters"].spec)
    backbone = load_backbone(spec["model"], 2, False, torch.device("cpu"), torch.float32, 5)
    core.load_delta(backbone.model, tmp_path / "out")
    with torch.no_grad():
        assert torch.equal(backbone.model(**batch("bert")).logits, base_of(runs["adapters"], "bert"))
    written = Structure.from_json(read_json(tmp_path / "out" / "structure.json"))
    assert written.candidates == written.chosen == Structure.from_json(read_json(runs["adapters"].structure)).chosen


@pytest.mark.parametrize("kind", ["merged", "peft"])
def test_a_structure_that_a_form_cannot_hold_is_refused_with_what_to_do(runs, tmp_path, kind):
    with pytest.raises(ModelError) as raised:
        export(runs["adapters"].path, kind, tmp_path / "out")
    assert "E0.block.ffn adapter(bottleneck=1)" in str(raised.value)
    assert "--to delta holds every structure" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", RUNS)
def test_what_an_export_cannot_hold_is_known_from_the_space(runs, tmp_path, name):
    """Without weights, before anything runs; here the whole space is chosen."""
    spec = read_json(runs[name].spec)
    [found] = describe(spec["model"], [SpaceSpec.model_validate(spec["space"])])["spaces"]
    for kind in ("peft", "merged"):
        if found["obstacles"][kind]:
            with pytest.raises(ModelError):
                export(runs[name].path, kind, tmp_path / kind)
        else:
            export(runs[name].path, kind, tmp_path / kind)


def test_a_run_that_must_be_exportable_trains_what_peft_holds(runs, tmp_path):
    table = {"block.ffn": ["adapter(bottleneck=1)", "bitfit"], "attn.q": ["lora(rank=1)", "bitfit"]}
    settings = read_json(runs["adapters"].spec) | {"exportable": "peft", "space": space(table).model_dump(mode="json")}
    run = make_run(tmp_path / "run", RunSpec.of_file(settings))
    assert execute(run) == EXIT_OK
    kinds = {candidate.delta for candidate in Structure.from_json(read_json(run.structure)).candidates}
    assert kinds == {"lora(rank=1)", "bitfit"}
    config = export(run.path, "peft", tmp_path / "out")["folder"]
    assert read_json(Path(config) / "adapter_config.json")["bias"] == "all"


def test_a_given_structure_that_peft_cannot_hold_is_refused_before_training(runs, tmp_path):
    structure = Structure.from_json(read_json(runs["adapters"].structure))
    given = {"method": "given", "space": given_space("found.json", structure).model_dump(mode="json")}
    run = make_run(tmp_path / "run", RunSpec.of_file(read_json(runs["adapters"].spec) | given | {"exportable": "peft"}))
    assert execute(run) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert failed.message.startswith('exportable = "peft": PEFT cannot hold this structure: E0.block.ffn adapter(')


@pytest.mark.parametrize("kind", ["delta", "merged", "peft"])
def test_a_damaged_delta_is_not_exported(runs, tmp_path, kind):
    run = RunDir(shutil.copytree(runs["bert"].path, tmp_path / "run"))
    data = bytearray(run.delta.read_bytes())
    data[-3] ^= 1
    run.delta.write_bytes(data)
    with pytest.raises(RunDirError, match="is damaged"):
        export(run.path, kind, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_folder_is_overwritten(runs, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunDirError, match="exists already"):
        export(runs["bert"].path, "delta", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("name", "kind"), [*CASES, ("adapters", "delta")])
def test_every_export_has_a_card_that_the_hub_can_read(runs, loaded, tmp_path, name, kind):
    folder = loaded[name, kind] if kind != "delta" else tmp_path / "out"
    if kind == "delta":
        export(runs[name].path, kind, folder)
    result = read_json(runs[name].result)
    read = ModelCard.load(folder / "README.md")
    (score,) = read.data.eval_results
    assert (score.metric_type, score.metric_value) == ("accuracy", result["score"])
    assert (score.dataset_name, "s3tui" in read.data.tags) == ("reviews", True)
    assert f"{result['parameters']:,} of {result['backbone_parameters']:,}" in read.text
    assert {"delta": "core.load_delta", "merged": '("DIR")', "peft": "PeftModel.from_pretrained"}[kind] in read.text
    assert str(runs[name].path.parent) not in read.content


HOSTILE = [
    'x"; import os #',
    "a`b|c\n# h",
    "```\n---\nlicense: mit",
    "<img src=x onerror=alert(1)> [a](javascript:b) $x$",
    "'\\\x1b]52;c;eA==\x07",
    "caf\udce9",
]


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_a_card_cites_the_method_that_found_the_structure_and_no_other(runs, row):
    source = read_source(runs["bert"].path)
    text = card(replace(source, result=source.result | {"method": row.name}), "delta", "text-classification")
    assert {one.source for one in OWN if one.source and one.source in text} == ({row.source} if row.source else set())
    assert ("was not searched" in text) == (not row.searches)


def test_a_card_says_that_weights_were_quantised(runs):
    source = read_source(runs["bert"].path)
    assert "quantised" not in card(source, "delta", "text-generation")
    builtin = replace(source, file=replace(source.file, model="builtin:smollm2-135m"))
    text = card(builtin, "delta", "text-generation")
    assert "| Weights | quantised in SmolLM2-135M-Instruct.Q4\\_1.gguf" in text
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in text
    own = card(replace(source, file=replace(source.file, model="/home/me/own.gguf")), "delta", "text-generation")
    assert "| Base model | the file own.gguf |" in own
    assert "/home/me" not in own


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["delta", "merged", "peft"])
def test_names_are_text_in_every_part_of_a_card(runs, name, kind):
    source = read_source(runs["bert"].path)
    source = replace(source, file=replace(source.file, model=f"nobody/{name}", task=f"/data/{name}.jsonl"))
    result = source.result | {"metric": name, "method": name, "versions": {name: name}}
    chosen = tuple(replace(c, site=f"{name}{i}", delta=name) for i, c in enumerate(source.structure.candidates))
    source = replace(source, result=result, structure=replace(source.structure, candidates=chosen))
    text = card(source, kind, "text-classification")
    assert text.encode()
    read = ModelCard(text)
    shown = " ".join(
        "".join(c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in name).split()
    )
    assert read.data.base_model == f"nobody/{shown}"
    assert read.data.license is None
    tokens = MarkdownIt("commonmark").enable("table").parse(read.text)
    assert [t.tag for t in tokens if t.type == "heading_open"] == ["h1", "h2", "h2"]
    inline = [t for t in tokens if t.type == "inline"]
    assert {child.type for t in inline for child in t.children} <= {"text", "text_special"}
    assert f"nobody/{shown}" in ["".join(child.content for child in t.children) for t in inline]
    assert sum(t.type == "tr_open" for t in tokens) == 8
    snippet, _ = (t.content for t in tokens if t.type == "fence")
    strings = [node.value for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Constant)]
    assert kind == "merged" or f"nobody/{name}" in strings
    assert {type(node) for node in ast.parse(snippet).body} <= {ast.Import, ast.ImportFrom, ast.Assign, ast.Expr}


def test_a_merged_model_knows_the_names_of_its_classes(loaded):
    config = read_json(loaded["bert", "merged"] / "config.json")
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert all("lora" not in name for name in load_file(loaded["bert", "merged"] / "model.safetensors"))


def test_a_peft_folder_and_its_card_know_the_names_of_the_classes(loaded):
    folder = loaded["bert", "peft"]
    assert read_json(folder / "config.json")["id2label"] == {"0": "bad", "1": "good"}
    text = (folder / "README.md").read_text()
    assert "| Classes | 0 = bad, 1 = good |" in text
    assert 'config=AutoConfig.from_pretrained("DIR")' in text


def test_a_loaded_delta_names_its_classes_until_it_is_detached(runs):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(read_source(runs["bert"].path).file.model, num_labels=2)
    delta = core.load_delta(model, runs["bert"].path)
    assert (model.config.id2label, model.config.label2id) == ({0: "bad", 1: "good"}, {"bad": 0, "good": 1})
    delta.detach()
    assert model.config.id2label == {0: "LABEL_0", 1: "LABEL_1"}


def test_the_command_tells_what_it_has_written(runs, tmp_path):
    command = [sys.executable, "-m", "s3tui", "export", str(runs["norms"].path), "--to", "delta", "--json"]
    done = subprocess.run([*command, "-o", "out"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["folder"] == "out"
    assert told["files"] == {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    again = subprocess.run([*command, "-o", "out"], cwd=tmp_path, capture_output=True, text=True)
    assert (again.returncode, again.stdout, len(again.stderr.splitlines())) == (2, "", 1)
    assert "exists already: name another folder" in again.stderr


def test_nothing_is_written_or_uploaded_without_a_token(runs, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(S3Error, match="there is no token for the hub"):
        export(runs["bert"].path, "delta", tmp_path / "out", push="me/found")
    assert list(tmp_path.iterdir()) == []
