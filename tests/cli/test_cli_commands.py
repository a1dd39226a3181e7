import json
import subprocess
import sys

import pytest
from processes import DEADLINE, SUITE
from stand_in import result

from core.run.rundir import RunDir, write_json


@pytest.fixture
def finished(tmp_path):
    def add(name, score, method="s3"):
        spec = {"task": {"name": "t"}, "model": "m", "method": method, "seed": 0}
        directory = RunDir(tmp_path / "runs" / name)
        directory.create(spec)
        write_json(directory.result, result(spec, score))
        return directory

    return add


def test_help_names_every_command(s3tui):
    for arguments in ((), ("--help",)):
        code, out, err = s3tui(*arguments)
        assert (code, err) == (0, "")
        assert all(f"\n  {name} " in out for name in ("init", "validate", "run", "results", "doctor"))


def test_the_version_is_that_of_the_package(s3tui):
    from importlib.metadata import version

    assert s3tui("--version") == (0, f"s3tui {version('s3tui')}\n", "")


def test_a_wrong_option_is_told_without_a_traceback(s3tui):
    code, out, err = s3tui("run", "x.toml", "--frsh")
    assert (code, out) == (2, "")
    assert "--frsh" in err


def test_init_writes_a_suite_that_validates_and_never_overwrites(s3tui, tmp_path):
    assert s3tui("init")[0] == 0
    before = (tmp_path / "experiments.toml").read_text()
    code, out, _ = s3tui("validate", "experiments.toml")
    assert code == 0
    assert out.splitlines()[0] == f"3 runs in {tmp_path / 'runs/first'}"
    (tmp_path / "experiments.toml").write_text(before + "# mine")
    code, _, err = s3tui("init")
    assert code == 2
    assert err == "s3tui: experiments.toml exists already: name another file, or delete it first\n"
    assert (tmp_path / "experiments.toml").read_text() == before + "# mine"
    assert s3tui("init", "no/where.toml")[0] == 2


def test_validate_lists_the_runs(s3tui, tmp_path):
    (tmp_path / "s.toml").write_text(
        SUITE + '[experiment.a]\n[experiment.longer]\nmethod = "random"\nmatrix = { budget = [1_000, 0.5] }\n'
    )
    code, out, err = s3tui("validate", "s.toml")
    assert (code, err) == (0, "next: s3tui run s.toml\n")
    assert out.splitlines()[1:4] == [
        "a                   s3      icd10-chapter  0.0400% of the model",
        "longer/budget=1000  random  icd10-chapter  1,000 parameters",
        "longer/budget=0.5   random  icd10-chapter  50.0000% of the model",
    ]
    assert "data of a, longer: icd10-chapter\n" in out
    assert "budgets on succeed are not checked: it is not on this machine yet\n" in out
    told = json.loads(s3tui("validate", "s.toml", "--json")[1])
    assert (told["suite"], told["workspace"]) == ("first", str(tmp_path / "runs"))
    assert told["runs"][1] | {"spec": ""} == {
        "name": "longer/budget=1000", "method": "random", "task": "icd10-chapter", "budget": 1000.0, "spec": "",
    }  # fmt: skip


def test_validate_tells_every_problem_on_stderr(s3tui, tmp_path):
    (tmp_path / "s.toml").write_text(SUITE + "[experiment.a]\nsed = 1\nseed = -1\n")
    code, out, err = s3tui("validate", "s.toml")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "s.toml: experiment.a.sed: unknown key, did you mean 'seed'?",
        "s.toml: experiment.a.seed: should be 0 or more, not -1",
    ]


def test_no_escape_sequence_of_a_file_reaches_the_terminal(s3tui, tmp_path):
    (tmp_path / "s.toml").write_text(SUITE + '[experiment.a]\n"\\u001b]0;owned\\u0007x" = 1\nmodel = "\\u001b[31m"\n')
    code, _, err = s3tui("validate", "s.toml")
    assert code == 2
    assert "\x1b" not in err
    assert "\x07" not in err


def test_results_come_from_a_suite_or_a_folder(s3tui, finished, tmp_path):
    finished("first/s", 0.61)
    finished("second/r", 0.5, method="random")
    (tmp_path / "experiments.toml").write_text(SUITE + "[experiment.s]\n")
    of_file = json.loads(s3tui("results", "--json")[1])["rows"]
    assert [row["experiment"] for row in of_file] == ["s"]
    of_folder = json.loads(s3tui("results", "runs", "--json")[1])["rows"]
    assert [row["experiment"] for row in of_folder] == ["first/s", "second/r"]
    assert s3tui("results", "runs", "--csv")[1].startswith("experiment,task,")


def test_runs_without_a_result_are_told_on_stderr(s3tui, finished):
    finished("first/s", 0.61)
    finished("first/torn", 0.5).result.write_text("{")
    finished("first/open", 0.5).result.unlink()
    code, out, err = s3tui("results", "runs")
    assert code == 0
    assert "torn" not in out
    assert [line.partition(":")[0] for line in err.splitlines()] == ["first/open", "first/torn", "see it"]


def test_results_of_nothing_say_so(s3tui, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, err = s3tui("results", "empty", "--json")
    assert (code, json.loads(out), err) == (
        0, {"rows": [], "verdicts": {}, "rank_correlations": []}, "no finished run in empty\n",
    )  # fmt: skip
    code, _, err = s3tui("results")
    assert code == 2
    assert err.startswith("s3tui: there is no experiments.toml: name the TOML file")


def test_no_colour_where_it_is_not_wanted(s3tui, finished):
    finished("first/s", 0.61)
    assert "\x1b" not in s3tui("results", "runs")[1]


def test_a_reader_that_leaves_early_causes_no_noise(tmp_path, finished):
    for number in range(200):
        finished(f"first/experiment-{number}", 0.5)
    command = f"{sys.executable} -m s3tui results runs --json | head -1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_doctor_tells_what_is_there(s3tui):
    code, out, _ = s3tui("doctor", "--json", HF_HUB_OFFLINE="1", HF_HOME="/somewhere")
    told = json.loads(out)
    checks = {check["name"]: check for check in told["checks"]}
    assert code == (0 if told["ok"] else 1)
    assert checks["pydantic"]["ok"]
    assert checks["hub"] | {"detail": ""} == {"name": "hub", "ok": False, "detail": "", "needed": False}
    assert "HF_HUB_OFFLINE" in checks["hub"]["detail"]
    assert checks["hub cache"]["detail"] == "/somewhere/hub"
    assert checks["workspace"]["ok"]
    assert checks["precision"]["ok"]
    assert checks["precision"]["detail"].startswith(("auto is bf16 on ", "auto is fp32 on "))


def test_a_hub_that_cannot_be_reached_is_no_failure(s3tui):
    _, out, _ = s3tui("doctor", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert "http://127.0.0.1:9 cannot be reached" in out


def test_path_prints_the_folder_of_a_run(finished, s3tui, tmp_path):
    directory = finished("first/a", 0.5)
    assert s3tui("path", "a") == (0, f"{directory.path}\n", "")
    told = json.loads(s3tui("path", "a", "--json")[1])
    assert told == {"name": "first/a", "path": str(directory.path)}
    assert s3tui("path", "b")[0] == 2


@pytest.fixture
def three(finished):
    """Two seeds of a search and one baseline."""
    finished("first/searched/seed=0", 0.7)
    finished("first/searched/seed=1", 0.725)
    finished("first/by-chance", 1 / 3, method="random")


def test_groups_are_listed_with_mean_and_spread(three, s3tui):
    code, out, err = s3tui("list", "--group", "method", "--sort", "-score")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["method", "runs", "finished", "test"],
        ["s3", "2", "2", "71.25", "±", "1.77"],
        ["random", "1", "1", "33.33"],
    ]
    groups = json.loads(s3tui("list", "--group", "method", "--json")[1])["groups"]
    assert groups[0] == {
        "key": "method", "value": "random", "runs": 1, "finished": 1, "score_mean": 1 / 3, "score_std": None,
        "names": ["first/by-chance"],
    }  # fmt: skip
    assert s3tui("list", "--group", "method", "--csv")[1].splitlines()[1] == f"method,random,1,1,{1 / 3},"


def test_what_runs_cannot_be_grouped_by_is_told(three, s3tui):
    assert "'methd': did you mean 'method'" in s3tui("list", "--group", "methd")[2]
    assert "scores are averaged over seeds" in s3tui("list", "--group", "seed")[2]


def test_a_list_as_csv_is_unrounded(three, s3tui):
    code, out, err = s3tui("list", "method:random", "--csv")
    assert (code, err) == (0, "")
    head, line = (text.split(",") for text in out.splitlines())
    row = dict(zip(head, line, strict=True))
    assert (row["name"], float(row["score"]), row["best"]) == ("first/by-chance", 1 / 3, "")
