"""`s3tui validate` looks at data and budgets before any worker starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support import save_model

CASES = Path(__file__).resolve().parents[1] / "data" / "own"
HEAD = """
[defaults]
model = "model"
space = "mix-low-rank"
budget = 300
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model("bert", tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def validate(tmp_path, s3tui, model):
    """Validate a suite beside the data of the cases."""
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model").symlink_to(model)

    def command(experiments, *arguments):
        (tmp_path / "s.toml").write_text(HEAD + experiments)
        code, out, err = s3tui("validate", "s.toml", *arguments)
        return code, out.replace(f"{tmp_path}/", ""), err.replace(f"{tmp_path}/", "")

    return command


def task(name, **keys):
    more = "".join(f", {key} = {json.dumps(value)}" for key, value in keys.items())
    return f'task = {{ path = "{name}", text = "text", label = "label", max_length = 24{more} }}\n'


def test_the_data_are_shown(validate):
    code, out, err = validate(
        f"[experiment.a]\n{task('semicolon.csv')}[experiment.b]\nseed = 1\n{task('semicolon.csv')}"
    )
    assert (code, err) == (0, "next: s3tui run s.toml\n")
    lines = out.splitlines()[4:]
    assert lines[0] == "data of a, b: semicolon.csv"
    assert lines[1] == "  48 rows: train 40, validation 4, test 4"
    assert lines[2] == "  2 classes: 'question' 24, 'remark' 24"
    assert lines[3].startswith("  tokens of ")
    assert "  example: why is the lamp flickering number 0  ->  question" in lines
    assert lines[-1] == "note: task of a, b: semicolon.csv: cells are separated by ';'"


def test_a_missing_file_hides_nothing_that_is_wrong_with_the_data_of_others(validate):
    wrong = task("UPPER.CSV").replace('text = "text"', 'text = "txt"')
    code, _, err = validate(
        f"[experiment.a]\n{task('gone.csv')}[experiment.b]\n{wrong}[experiment.c]\n{task('semicolon.csv')}"
        '[experiment.d]\ntask = { name = "sst2", data_root = "gone" }\n'
    )
    lines = err.splitlines()
    assert code == 2
    assert lines[0].startswith("s.toml: experiment.a.task.path: there is no file or folder gone.csv")
    assert lines[1].startswith("s.toml: experiment.d.task.data_root: there is no folder 'gone'")
    assert lines[2].startswith("s.toml: task of b: UPPER.CSV has no column 'txt'")
    assert len(lines) == 3


def test_what_is_wrong_with_the_data_is_told_of_every_task(validate):
    wrong = task("UPPER.CSV").replace('text = "text"', 'text = "txt"')
    experiments = f"[experiment.a]\n{task('many-empty.csv')}[experiment.b]\n{wrong}"
    code, out, err = validate(f"{experiments}[experiment.c]\n{task('label-case.csv')}")
    assert code == 2
    assert err.splitlines() == [
        "s.toml: task of a: many-empty.csv: 5 of 48 rows have an empty 'text': lines 2, 12, 22, 32, 42"
        '; on_bad_rows = "drop" leaves them out',
        "s.toml: task of a: many-empty.csv: 3 of 48 rows have an empty 'label': lines 5, 21, 37"
        '; on_bad_rows = "drop" leaves them out',
        "s.toml: task of b: UPPER.CSV has no column 'txt': did you mean 'text'?",
    ]
    assert "warning: task of c: labels differ only in case or spaces" in out
    assert "data of a: many-empty.csv" in out


def test_a_run_on_files_with_problems_is_refused_before_any_worker(validate, s3tui, tmp_path):
    experiments = f"[experiment.a]\n{task('many-empty.csv')}[experiment.b]\n{task('UPPER.CSV')}"
    validate(experiments)
    code, _, err = s3tui("run", "s.toml")
    assert code == 2
    assert "task of a: " in err
    assert "5 of 48 rows have an empty 'text': lines 2, 12, 22, 32, 42; on_bad_rows" in err
    assert not (tmp_path / "runs").exists()


def test_what_is_said_of_one_of_several_tasks_names_it(validate):
    two = [task(name).partition("= ")[2].strip() for name in ("semicolon.csv", "label-case.csv")]
    _, out, _ = validate(f"[experiment.a]\nmatrix = {{ task = [{', '.join(two)}] }}\n")
    assert "note: task semicolon.csv of a: semicolon.csv: cells are separated by ';'" in out
    assert "warning: task label-case.csv of a: labels differ only in case or spaces" in out


def test_which_exports_a_space_allows_is_told(validate):
    data = task("UPPER.CSV")
    experiments = f'[experiment.a]\n{data}[experiment.b]\nexportable = "peft"\n{data}'
    code, out, _ = validate(experiments)
    assert code == 0
    assert "space of a: mix-low-rank on " in out
    assert "  exports: delta; peft unless low-rank-adapter is chosen; merged unless low-rank-adapter is chosen\n" in out
    assert "  exports: delta, peft, merged\n" in out
    a, b = json.loads(validate(experiments, "--json")[1])["spaces"]
    assert a["exports"]["peft"] == {"low-rank-adapter": "none of its methods beside LoRA and norms"}
    assert (b["experiments"], b["exportable"], b["exports"]["peft"]) == (["b"], "peft", {})
    assert b["candidates"] < a["candidates"]


def test_a_space_of_which_nothing_is_exportable_is_told(validate):
    code, _, err = validate(f'[experiment.a]\nexportable = "peft"\nspace = "adapter"\n{task("UPPER.CSV")}')
    assert code == 2
    assert 'space and budget of a: exportable = "peft": PEFT cannot hold any candidate of this space: ' in err


def test_budgets_that_cannot_hold_are_told_before_anything_runs(validate):
    code, _, err = validate(
        f"[experiment.a]\n{task('UPPER.CSV')}[experiment.low]\nbudget = 1\n{task('UPPER.CSV')}"
        f'[experiment.high]\nbudget = 0.9\n{task("UPPER.CSV")}[experiment.whole]\nmethod = "full"\nbudget = "none"\n'
        f"{task('UPPER.CSV')}"
    )
    assert code == 2
    low, high = err.splitlines()
    assert low.startswith(
        "s.toml: space and budget of low: the budget of 1 parameters is below the smallest candidate ("
    )
    assert "space and budget of high: the budget of" in high
    assert "is above the whole space" in high


def test_a_space_that_has_no_place_on_the_model_is_told(validate):
    code, _, err = validate(f'[experiment.a]\nspace = "own"\n{task("UPPER.CSV")}[space.own]\n"cross.q" = ["lora"]\n')
    assert code == 2
    assert err.startswith("s.toml: space and budget of a: ")


def test_the_same_stands_in_the_json(validate):
    code, out, err = validate(f"[experiment.a]\n{task('many-empty.csv')}", "--json")
    told = json.loads(out)
    assert code == 2
    assert told["problems"] == err.splitlines()
    assert len(told["problems"]) == 2
    assert told["runs"][0]["name"] == "a"
    (look,) = told["tasks"]
    assert (look["task"], look["experiments"], look["labels"]) == (
        "many-empty.csv",
        ["a"],
        {"question": 19, "remark": 21},
    )
    assert look["splits"]["train"]["rows"] == 32


def test_problems_of_the_file_itself_stand_in_the_json_too(validate):
    code, out, err = validate("[experiment.a]\nsed = 1\n", "--json")
    assert code == 2
    told = json.loads(out)
    assert told["problems"] == err.splitlines()
    assert [told[key] for key in ("runs", "tasks", "spaces", "warnings", "notes")] == [[]] * 5


def test_what_is_not_on_this_machine_is_said_to_be_unknown(validate):
    code, out, err = validate(f'[experiment.a]\nmodel = "nobody/nothing"\n{task("UPPER.CSV")}')
    assert (code, err) == (0, "next: s3tui run s.toml\n")
    assert "note: spaces and budgets on nobody/nothing are not checked: it is not on this machine yet" in out
    assert "tokens: unknown, as the tokenizer of nobody/nothing is not on this machine" in out
