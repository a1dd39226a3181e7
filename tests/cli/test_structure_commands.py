"""`s3tui structure`, as a user calls it, on run directories and files."""

import pytest

from core.run.comparing import drawn_like
from core.run.rundir import RunDir, write_json
from core.run.selection import mean
from core.run.structure import Candidate, Structure

SELF = "encoder.block.{}.layer.0.SelfAttention.q"
SPACE = tuple(
    Candidate("attn.q", "encoder", layer, SELF.format(layer), delta, parameters)
    for layer in range(4)
    for delta, parameters in (("lora(rank=1)", 64), ("bitfit", 32))
)
P = {"a/seed=0": (0.9, 0.1, 0.2, 0.3, 0.8, 0.1, 0.1, 0.4), "a/seed=1": (0.7, 0.1, 0.9, 0.3, 0.1, 0.1, 0.1, 0.4)}


@pytest.fixture(autouse=True)
def runs(tmp_path):
    """Two runs of a search, as they are once they have chosen."""
    made = {}
    for name, p in P.items():
        directory = RunDir(tmp_path / "runs/first" / name)
        directory.create({})
        made[name] = mean([Structure(SPACE, p, (), 130, "t5-small")], 130)
        write_json(directory.structure, made[name].to_json())
        write_json(directory.result, {"backbone_parameters": 1000})
    return made


def test_show_tells_what_is_trained_where(told, s3tui):
    shown = told("structure", "show", "a/seed=0")
    assert (shown["name"], shown["chosen"], shown["parameters"]) == ("first/a/seed=0", 2, 128)
    assert [c["name"] for c in shown["chosen_candidates"]] == ["E0.attn.q lora(rank=1)", "E2.attn.q lora(rank=1)"]
    code, out, _ = s3tui("structure", "show", "a/seed=0")
    assert code == 0
    assert "first/a/seed=0: 2 of 8 candidates, 128 parameters (budget 130), model t5-small" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["attn.q", "lora(rank=1)", "90*", "20", "80*", "10"] in lines


def test_diff_tells_what_either_has_alone(told):
    found = told("structure", "diff", "a/seed=0", "a/seed=1")
    assert (found["only_a"], found["only_b"]) == (["E2.attn.q lora(rank=1)"], ["E1.attn.q lora(rank=1)"])
    assert found["both"] == ["E0.attn.q lora(rank=1)"]
    assert found["jaccard"] == pytest.approx(1 / 3)


def test_mean_averages_p_over_runs_and_chooses_again(told, runs):
    made = Structure.from_json(told("structure", "mean", "a/*", "--budget", "0.064"))
    assert made == mean(list(runs.values()), 64)
    assert made.p[0] == pytest.approx(0.8)
    assert [c.layer for c in made.chosen] == [0]


def test_reselect_gives_the_structure_of_another_budget(told, runs):
    made = Structure.from_json(told("structure", "reselect", "a/seed=0", "--budget", "64"))
    assert [c.name for c in made.chosen] == ["E0.attn.q lora(rank=1)"]
    assert made.p == runs["a/seed=0"].p


def test_agreement_tells_frequency_overlap_and_chance(told):
    found = told("structure", "agreement", "a/*")
    assert found["overlap"] == pytest.approx(1 / 3)
    assert found["pairs"][0][1] == found["overlap"]
    assert found["frequency"][0] == {"name": "E0.attn.q lora(rank=1)", "parameters": 64, "share": 1.0}
    assert 0 < found["by_chance"] < 1


def test_a_random_structure_has_space_and_budget_of_the_one_it_is_like(told, runs):
    made = Structure.from_json(told("structure", "random", "--like", "a/seed=0", "--seed", "3"))
    assert made == drawn_like(runs["a/seed=0"], 3)


def test_a_written_structure_is_one_that_every_command_reads(s3tui, told, tmp_path):
    code, out, err = s3tui("structure", "reselect", "a/seed=0", "--budget", "64", "-o", "small.json")
    assert (code, out, err) == (0, "", "wrote small.json\n")
    assert told("structure", "show", "small.json")["parameters"] == 64


def test_no_file_is_overwritten(s3tui, tmp_path):
    (tmp_path / "small.json").write_text("mine")
    code, _, err = s3tui("structure", "reselect", "a/seed=0", "--budget", "64", "-o", "small.json")
    assert (code, err) == (2, "s3tui: small.json exists already: name another file, or delete it first\n")
    assert (tmp_path / "small.json").read_text() == "mine"


def test_convert_goes_to_the_papers_form_and_back(s3tui, told, runs):
    assert s3tui("structure", "convert", "a/seed=0", "-o", "theirs.json")[0] == 0
    theirs = told("structure", "convert", "a/seed=0")
    assert theirs == [{SELF.format(i): {"parallel": {"Lora": {"lora_r": 1}}} for i in (0, 2)}]
    back = Structure.from_json(told("structure", "convert", "theirs.json", "--like", "a/seed=1"))
    assert back.selected == runs["a/seed=0"].selected
    found = told("structure", "diff", "theirs.json", "a/seed=0", "--like", "a/seed=1")
    assert found["jaccard"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nothing"], "no run is called 'nothing'"),
        (["show", "nothing.json"], "there is no file nothing.json"),
        (["agreement", "a/seed=0"], "two or more"),
        (["reselect", "a/seed=0", "--budget", "0"], "0 is no budget"),
        (["mean", "a/*", "--selection", "fist-fit"], "did you mean 'first-fit'?"),
        (["mean", "a/*", "--selection", "perturbation"], "needs the trained network"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(s3tui, arguments, words):
    code, out, err = s3tui("structure", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", [("show", "a/*"), ("random", "--like", "a/*"), ("diff", "a/*", "a/seed=0")])
def test_a_pattern_of_several_runs_is_refused_where_one_is_needed(s3tui, command):
    code, out, err = s3tui("structure", *command)
    assert (code, out) == (2, "")
    assert err == "s3tui: 'a/*' matches 2 runs: first/a/seed=0, first/a/seed=1: name one of them\n"


def test_reselect_refuses_what_was_not_searched(s3tui, tmp_path):
    directory = RunDir(tmp_path / "runs/first/random")
    directory.create({})
    write_json(directory.structure, Structure(SPACE, (1.0, *[0.0] * 7), (0,), 130, "t5-small").to_json())
    code, out, err = s3tui("structure", "reselect", "random", "--budget", "100")
    assert (code, out) == (2, "")
    assert "first/random was not searched: it has no probabilities to select by" in err
