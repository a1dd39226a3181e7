"""`structure = ...` in a suite: a file, a run of the workspace, or a run that the same suite is still to do."""

import json
from dataclasses import replace

import pytest
from processes import SUITE, drive, wait_until
from stand_in import LAYER, STRUCTURE

from core.run.given import awaited, given_space
from core.run.original import to_original
from core.run.rundir import RunDir, read_json, write_json
from core.run.searched import read_searched
from core.run.spec import RunSpec
from s3tui.suite.load import load
from s3tui.text.problems import ConfigError

TRANSFER = """
[experiment.target]
structure = "run:source"
task = "rte"
[experiment.source]
"""


def planned(tmp_path, text):
    (tmp_path / "suite.toml").write_text(SUITE + text)
    return {run.name: run.spec for run in load(tmp_path / "suite.toml").runs}


def refused(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, text)
    return [line.partition("suite.toml: ")[2] for line in caught.value.problems]


@pytest.mark.parametrize("form", ["ours", "the paper's"])
def test_a_file_is_written_into_the_settings_so_that_they_need_no_other(tmp_path, form):
    write_json(tmp_path / "found.json", STRUCTURE.to_json() if form == "ours" else to_original(STRUCTURE))
    spec = planned(tmp_path, '[experiment.a]\nstructure = "found.json"\n')["a"]
    site = "E1.attn.q" if form == "ours" else LAYER.format(1)
    assert (spec.method, spec.space.groups[-1]) == ("given", {site: ("lora(rank=1)",)})
    assert spec == RunSpec.model_validate_json(spec.model_dump_json())


def test_what_names_no_canonical_site_is_named_by_its_module():
    own = replace(STRUCTURE, candidates=tuple(replace(c, site="my.own.*") for c in STRUCTURE.candidates))
    assert given_space("f", own).groups == ({LAYER.format(1): ("lora(rank=1)",)},)


def test_a_run_of_the_suite_is_waited_for_and_its_structure_then_part_of_the_settings(run, tmp_path):
    assert awaited(planned(tmp_path, TRANSFER)["target"]) == "first/source"
    code, out, err = run(TRANSFER)
    assert code == 0, err
    target = RunDir(tmp_path / "runs/first/target")
    assert read_json(target.spec)["space"] == {"name": "run:first/source", "groups": [{"E1.attn.q": ["lora(rank=1)"]}]}
    done = [line.partition(":")[0] for line in err.splitlines() if "done" in line]
    assert done == ["source", "target"]
    assert "given" in out


def test_a_transfer_that_is_finished_is_not_done_again_until_its_source_finds_another(run, tmp_path):
    assert run(TRANSFER)[0] == 0
    code, _, err = run(TRANSFER)
    assert code == 0
    assert err.splitlines()[:2] == ["target: finished before, skipped", "source: finished before, skipped"]
    source = RunDir(tmp_path / "runs/first/source")
    other = json.loads(source.structure.read_text())
    other["candidates"][0]["selected"] = True
    write_json(source.structure, other)
    code, _, err = run(TRANSFER)
    assert code == 2
    assert "target: trained another structure than run:first/source is now; --fresh replaces it" in err
    assert run(TRANSFER, "--fresh", "target")[0] == 0
    assert len(read_json(tmp_path / "runs/first/target/spec.json")["space"]["groups"]) == 2


def test_a_run_is_replaced_with_the_source_of_its_structure_and_waits_for_it(run, tmp_path):
    assert run(TRANSFER)[0] == 0
    code, _, err = run(TRANSFER + "seed = 5\n", "--fresh")
    assert code == 0
    assert [line.partition(":")[0] for line in err.splitlines() if "done" in line] == ["source", "target"]


def test_a_run_whose_source_failed_is_left_and_says_why(run, tmp_path):
    code, _, err = run(TRANSFER + 'model = "bad-data"\n')
    assert code == 1
    assert "target: queued: waiting for the structure of first/source, which is failed" in err
    assert awaited(RunSpec.model_validate(read_json(tmp_path / "runs/first/target/spec.json"))) == "first/source"
    # Once the source is mended, the same command goes on with both.
    assert run(TRANSFER, "--fresh", "source")[0] == 0
    assert run(TRANSFER)[0] == 0


def test_the_weights_of_the_source_are_copied_before_a_run_that_starts_with_them(run, tmp_path):
    code, _, err = run(TRANSFER.replace('task = "rte"', 'retrain.start = "searched"'))
    assert code == 0, err
    target, source = (read_searched(RunDir(tmp_path / "runs/first" / name))[0] for name in ("target", "source"))
    assert target == replace(source, taken_from="first/source")


def test_a_run_whose_source_has_learned_no_weights_is_left_and_says_why(run):
    code, _, err = run(TRANSFER.replace('task = "rte"', 'retrain.start = "searched"') + 'method = "random"\n')
    assert code == 1
    assert "target: queued: first/source has no weights of a search to start with" in err
    assert 'set retrain.start = "scratch"' in err


def test_a_run_of_another_suite_of_the_workspace_may_be_named(run, tmp_path):
    assert run("[experiment.source]\n")[0] == 0
    text = SUITE.replace('"first"', '"second"')
    code, _, err = run('[experiment.a]\nstructure = "run:first/source"\n', head=text)
    assert code == 0, err
    assert (tmp_path / "runs/second/a/result.json").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('structure = "run:sauce"\n[experiment.source]\n', "experiment.a.structure: no run is called 'sauce'"),
        ('structure = "nothing.json"\n', "experiment.a.structure: there is no file"),
        ('structure = "run:a"\n', "experiment.a.structure: first/a would wait for itself"),
        ('structure = "run:b"\n[experiment.b]\nstructure = "run:a"\nseed = 1\n', "would wait for itself"),
        ('structure = "run:b"\nmethod = "random"\n[experiment.b]\n', "experiment.a.method: a given structure"),
        ("structure = 3\n", "experiment.a.structure: should be run:NAME or a structure file, in quotes"),
        ('method = "given"\n', "experiment.a.method: needs the structure"),
        ('matrix = { structure = ["run:b", "run:c"] }\n[experiment.b]\n', "experiment.a.matrix.structure: no run"),
    ],
)
def test_what_cannot_be_given_is_told_with_its_key(tmp_path, text, problem):
    problems = refused(tmp_path, f"[experiment.a]\n{text}")
    assert any(problem in line for line in problems), problems


def test_a_structure_of_the_defaults_can_be_taken_back(tmp_path):
    write_json(tmp_path / "found.json", STRUCTURE.to_json())
    text = 'structure = "found.json"\n[experiment.a]\n[experiment.b]\nstructure = "none"\n'
    specs = planned(tmp_path, text)
    assert [specs[name].method for name in "ab"] == ["given", "s3"]


def test_the_status_says_what_a_waiting_transfer_waits_for(suite, told, workspace):
    process = drive(suite(TRANSFER + 'model = "until-told"\n'), "--detach")
    assert process.wait() == 0
    reason = {"name": "first/target", "reason": "waiting for the structure of first/source, which is running"}
    wait_until(lambda: reason in told("status", "--in", "runs")["waiting"])
    (workspace.path / "first/source/go").touch()
    wait_until(lambda: (workspace.path / "first/target/result.json").exists())
