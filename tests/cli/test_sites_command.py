"""`s3tui sites` shows any model without its weights: its sites, paths where it has none, the candidates of spaces."""

import json
import subprocess
import sys

import pytest
import transformers
from processes import DEADLINE


@pytest.fixture
def sites(tmp_path):
    """Look at a model as a user does: exit code, stdout, stderr."""

    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "s3tui", "sites", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=5 * DEADLINE,  # it loads torch
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return command


def cells(out):
    """The words of every line."""
    return [line.split() for line in out.splitlines()]


def test_the_paper_s_model_has_the_paper_s_candidates(sites, tmp_path):
    shape = {"d_model": 1024, "d_kv": 64, "d_ff": 4096, "num_layers": 24, "num_heads": 16}
    transformers.T5Config(**shape).save_pretrained(tmp_path / "t5-large")
    code, out, err = sites("./t5-large")
    assert (code, err) == (0, "")
    assert out.startswith("./t5-large: t5, an encoder-decoder of 737,668,096 parameters\n")
    lines = cells(out)
    assert ["attn.q", "E0-23", "24", "1024", "->", "1024", "encoder.block.*.layer.0.SelfAttention.q"] in lines
    assert ["norm.final", "D", "1", "1024", "decoder.final_layer_norm"] in lines
    assert ["mix-low-rank", "916", "1,881,088", "0.2550%"] in lines


def test_json_names_every_site_and_takes_the_spaces_of_a_suite(sites, tmp_path):
    (tmp_path / "mine.toml").write_text('[space.small]\n"E{4,5}.attn.{q,v}" = ["lora(rank=1)"]\n')
    code, out, err = sites("builtin:minilm", "--space", "mine.toml", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["model"], found["family"], found["kind"]) == ("builtin:minilm", "bert", "encoder")
    assert (found["parameters"], len(found["sites"])) == (22_713_216, 6 * 10)
    query = next(site for site in found["sites"] if site["label"] == "E3.attn.q")
    assert query["module"] == "bert.encoder.layer.3.attention.self.query"
    assert (query["kind"], query["inputs"], query["outputs"]) == ("linear", 384, 384)
    (space,) = found["spaces"]
    assert (space["name"], space["candidates"], space["parameters"]) == ("small", 4, 4 * 2 * 384)


def test_modules_of_an_unknown_family_are_listed_by_the_paths_that_a_space_takes(sites, tmp_path):
    shape = {"vocab_size": 80, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 48, "rotary_dim": 4}
    transformers.GPTJConfig(**shape).save_pretrained(tmp_path / "gptj")
    theirs = [{"mlp.fc_in": {"parallel": {"Lora": {"lora_r": 1}}}}]
    (tmp_path / "own.json").write_text(json.dumps(theirs))
    code, out, _ = sites("gptj", "--space", "own.json")
    assert code == 0
    assert "no canonical names" in out
    lines = cells(out)
    assert ["D0-1", "2", "32", "->", "48", "transformer.h.*.mlp.fc_in"] in lines
    assert lines[-1][:3] == ["own.json", "2", "160"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["builtin:minilm", "--space", "lorra"], "unknown space 'lorra', did you mean 'lora'?"),
        (["builtin:minilm", "--space", "none.toml"], "none.toml: cannot be read"),
        (["vit"], "vit is a 'vit', which transformers loads neither with a head nor as one that writes"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(sites, tmp_path, arguments, says):
    transformers.ViTConfig().save_pretrained(tmp_path / "vit")
    code, out, err = sites(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_hidden_layers": 10_000_000}, "num_hidden_layers = 10,000,000: more than 1,000 is refused"),
        ({"hidden_act": "abc"}, "makes no model: "),
    ],
)
def test_a_model_that_cannot_be_built_is_one_line(sites, tmp_path, changes, words):
    config = transformers.BertConfig(num_hidden_layers=1).to_dict() | changes
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    code, out, err = sites("./model")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
