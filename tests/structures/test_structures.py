"""Structures by name: of runs and of files, in our form and in the paper's."""

import json

import pytest

from core.run.errors import RunDirError, SpecError
from core.run.original import to_original
from core.run.rundir import RunDir, write_json
from core.run.structure import Candidate, Structure
from s3tui.structures.load import Cell, heatmap, of_file, of_run, places, summary

SELF = "encoder.block.{}.layer.0.SelfAttention.q"
DELTAS = (("lora(rank=1)", 64), ("bitfit", 32))
SPACE = (
    *(Candidate("attn.q", "encoder", i, SELF.format(i), delta, n) for i in (0, 1) for delta, n in DELTAS),
    Candidate("norm.final", "decoder", None, "decoder.final_layer_norm", "lnfit", 32),
)


@pytest.fixture
def structure():
    return Structure(SPACE, (0.9, 0.2, 0.6, 0.1, 0.5), (0, 4), 100, "t5-small")


def run_with(path, structure, **result):
    directory = RunDir(path)
    directory.create({})
    write_json(directory.structure, structure.to_json())
    if result:
        write_json(directory.result, result)
    return directory


def test_the_structure_of_a_run_comes_with_the_size_of_its_model(tmp_path, structure):
    named = of_run(run_with(tmp_path / "a", structure, backbone_parameters=60_000), "a")
    assert named.structure == structure
    assert named.budget(1e-3) == 60
    assert named.budget(77) == 77


def test_a_share_of_a_model_of_unknown_size_is_refused(tmp_path, structure):
    write_json(tmp_path / "s.json", structure.to_json())
    with pytest.raises(SpecError, match="give the budget as a count"):
        of_file(tmp_path / "s.json").budget(1e-3)


@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan")])
def test_what_is_no_budget_is_refused(tmp_path, structure, value):
    write_json(tmp_path / "s.json", structure.to_json())
    with pytest.raises(SpecError, match="is no budget"):
        of_file(tmp_path / "s.json").budget(value)


def test_a_run_that_has_chosen_nothing_yet_says_so(tmp_path):
    directory = RunDir(tmp_path / "a")
    directory.create({})
    with pytest.raises(RunDirError, match="a has chosen no structure yet"):
        of_run(directory, "a")


def test_a_file_of_the_paper_comes_back_as_it_was_written(tmp_path, structure):
    write_json(tmp_path / "theirs.json", to_original(structure))
    read = of_file(tmp_path / "theirs.json", like=structure).structure
    assert read.selected == structure.selected
    assert read.parameters == structure.parameters


def test_a_file_of_the_paper_names_modules_by_the_ends_of_their_paths(tmp_path, structure):
    group = {"SelfAttention.q": {"parallel": {"Lora": {"lora_r": 1}}}}
    (tmp_path / "theirs.json").write_text(json.dumps([group]))
    assert of_file(tmp_path / "theirs.json", like=structure).structure.selected == (0, 2)


def test_a_file_of_the_paper_alone_is_refused_with_what_to_do(tmp_path, structure):
    write_json(tmp_path / "theirs.json", to_original(structure))
    with pytest.raises(SpecError, match="--like"):
        of_file(tmp_path / "theirs.json")


def test_what_a_file_of_the_paper_has_and_the_space_has_not_is_named(tmp_path, structure):
    group = {"SelfAttention.v": {"parallel": {"Lora": {"lora_r": 1}}}}
    (tmp_path / "theirs.json").write_text(json.dumps([group]))
    with pytest.raises(SpecError, match=r"lora\(rank=1\) at 'SelfAttention.v'"):
        of_file(tmp_path / "theirs.json", like=structure)


def test_a_map_has_sites_with_deltas_as_rows_and_places_as_columns(structure):
    other = Structure(SPACE, (0.5, 0.2, 0.6, 0.1, 0.5), (2, 4), 100, "t5-small")
    found = heatmap([structure, other])
    assert found.rows == ("attn.q lora(rank=1)", "attn.q bitfit", "norm.final lnfit")
    assert found.columns == ("E.0", "E.1", "D.final")
    assert found.cells[0] == (Cell(0.7, 0.5), Cell(0.6, 0.5), None)
    assert found.cells[2] == (None, None, Cell(0.5, 1.0))


def test_places_go_from_the_first_layer_of_the_encoder_to_the_end_of_the_decoder():
    def at(stack, layer, site="norm.ffn"):
        return Candidate(site, stack, layer, "", "lnfit", 1)

    mixed = [at("", None, "head"), at("decoder", 10), at("decoder", 2), at("encoder", None), at("encoder", 11)]
    assert places(mixed) == ["E.11", "E.final", "D.2", "D.10", "head"]


def test_a_summary_adds_up(structure):
    told = summary(structure)
    assert (told["chosen"], told["candidates"], told["parameters"]) == (2, 5, 96)
    assert told["by_delta"]["lora(rank=1)"] == {"chosen": 1, "candidates": 2, "parameters": 64}
    for kind in ("by_delta", "by_site", "by_place"):
        assert sum(part["parameters"] for part in told[kind].values()) == 96
