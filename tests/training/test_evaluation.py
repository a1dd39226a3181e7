"""How models answer: with a head, by the likelihood of each label, or with what they write; and whole named tasks."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from support import BAD, GOOD, NEUTRAL, build, make_run, run_spec, save_model, tokenizer

from core.model.backbone import Backbone
from core.run.errors import EXIT_OK, EXIT_USAGE, SpecError
from core.run.events import Failed, read_events
from core.run.rundir import read_json
from core.run.task_spec import NamedTask
from core.tasks import Task, load_task
from core.training.data import answering_of, encode
from core.training.evaluate import evaluate, label_likelihoods
from core.training.loss import loss_of
from core.worker.execute import execute

CPU = torch.device("cpu")


def sentence(place: random.Random, label: int) -> str:
    words = place.choices(GOOD if label else BAD, k=3) + place.choices(NEUTRAL, k=3)
    return " ".join(place.sample(words, len(words)))


def put_data(root: Path) -> Path:
    """Tiny cola, stsb and squad whose answers the words of a sentence tell."""
    place = random.Random(0)
    for split, count in (("train", 120), ("validation", 40)):
        labels = [i % 2 for i in range(count)]
        texts = [sentence(place, label) for label in labels]
        pairs = list(zip(texts, labels, strict=True))
        tables = {
            "cola": [{"sentence": t, "label": y} for t, y in pairs],
            "stsb": [{"sentence1": t, "sentence2": t, "label": 1.0 + y} for t, y in pairs],
            "squad": [
                {"question": "it", "context": t, "answers": {"text": ["good" if y else "the bad"], "answer_start": [0]}}
                for t, y in pairs
            ],
        }
        for name, rows in tables.items():
            (root / name).mkdir(exist_ok=True)
            (root / name / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return put_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {family: save_model(family, folder / family) for family in ("bert", "t5", "gpt2")}


def named(root: Path, name: str) -> Task:
    return load_task(NamedTask(name=name, data_root=str(root), max_length=24), 0)


def learned(task: Task, steps: int, family: str = "t5") -> Backbone:
    """A tiny model after so many steps on the task."""
    model = build(family).requires_grad_(True)
    backbone = Backbone(model, tokenizer(family), True, (), 0)
    data = encode(task, backbone, CPU)
    count = len(data.splits["train"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        batch = data.batch("train", [(step * 20 + i) % count for i in range(20)])
        loss_of(model, batch, "fast").backward()
        optimizer.step()
        optimizer.zero_grad()
    return backbone


def metrics(backbone: Backbone, task: Task, evaluation: str) -> dict[str, float]:
    return evaluate(backbone, encode(task, backbone, CPU, evaluation), "validation", 8)


@pytest.mark.parametrize("family", ["t5", "bart", "llama", "gpt2"])
def test_a_model_that_has_learned_ranks_and_writes_the_same(root, family):
    task = named(root, "cola")
    backbone = learned(task, 120, family)
    ranked, written = metrics(backbone, task, "rank"), metrics(backbone, task, "generate")
    assert ranked == written
    assert ranked["matthews"] > 0.7
    assert metrics(backbone, task, "auto") == ranked


def test_a_model_that_writes_no_label_is_wrong_where_ranking_still_answers(root):
    task = named(root, "cola")
    backbone = learned(named(root, "squad"), 60)
    ranked = encode(task, backbone, CPU, "rank")
    batch = ranked.batch("validation", range(20))
    likelihoods = label_likelihoods(backbone, task.labels, batch)
    assert likelihoods.shape == (20, 2)
    assert torch.isfinite(likelihoods).all()
    accuracy = Task(task.name, task.kind, task.labels, task.splits, task.max_length, ("accuracy",))
    assert metrics(backbone, accuracy, "generate") == {"accuracy": 0.0}
    assert metrics(backbone, accuracy, "rank")["accuracy"] > 0.0


def test_free_text_is_written_and_compared_with_every_answer(root):
    task = named(root, "squad")
    score = metrics(learned(task, 120), task, "auto")
    assert list(score) == ["exact_match", "token_f1"]
    assert score["exact_match"] > 0.7
    assert metrics(learned(task, 0), task, "auto")["exact_match"] < 0.3


def test_numbers_are_written(root):
    task = named(root, "stsb")
    assert list(metrics(learned(task, 2), task, "auto")) == ["pearson", "spearman"]


@pytest.mark.parametrize(
    ("kind", "text_to_text", "evaluation", "answering"),
    [
        ("classification", True, "auto", "rank"),
        ("classification", True, "rank", "rank"),
        ("classification", True, "rank-per-token", "rank-per-token"),
        ("classification", True, "generate", "generate"),
        ("regression", True, "auto", "generate"),
        ("text", True, "auto", "generate"),
        ("text", True, "generate", "generate"),
        ("classification", False, "generate", "head"),
        ("regression", False, "auto", "head"),
    ],
)
def test_closed_sets_are_ranked_unless_asked_otherwise(kind, text_to_text, evaluation, answering):
    assert answering_of(Task("t", kind, (), {}, 8, ()), text_to_text, evaluation) == answering


@pytest.mark.parametrize("kind", ["regression", "text"])
@pytest.mark.parametrize("evaluation", ["rank", "rank-per-token"])
def test_what_has_no_labels_cannot_be_ranked(kind, evaluation):
    with pytest.raises(SpecError, match="no set of labels to rank"):
        answering_of(Task("t", kind, (), {}, 8, ()), True, evaluation)


@pytest.mark.parametrize(
    ("family", "name", "found"),
    [
        ("bert", "cola", ["matthews"]),
        ("t5", "cola", ["matthews"]),
        ("bert", "stsb", ["pearson", "spearman"]),
        ("t5", "squad", ["exact_match", "token_f1"]),
        ("gpt2", "cola", ["matthews"]),
        ("gpt2", "squad", ["exact_match", "token_f1"]),
    ],
)
@pytest.mark.parametrize("evaluation", ["auto", "generate"])
def test_a_named_task_runs_from_end_to_end(tmp_path, models, root, family, name, found, evaluation):
    task = {"name": name, "data_root": str(root), "max_length": 24}
    run = make_run(tmp_path / "run", run_spec(models[family], root, task=task, evaluation=evaluation))
    assert execute(run) == EXIT_OK
    result = read_json(run.result)
    assert (list(result["metrics"]), result["task"]) == (found, name)
    assert list(result["constant"]) == found
    table = pyarrow.parquet.read_table(run.predictions)
    assert table.num_rows == result["rows"] > 1
    assert ("probabilities" in table.column_names) == (name == "cola" and (evaluation == "auto" or family == "bert"))
    assert result["standard_error"] >= 0
    kind = {"cola": str, "stsb": float, "squad": list}[name]
    assert {type(target) for target in table["target"].to_pylist()} == {kind}


@pytest.mark.parametrize(
    ("family", "task", "changes", "says"),
    [
        ("bert", {"name": "squad", "max_length": 24}, {}, "'squad' is answered in free text, which no head writes"),
        ("bert", {"name": "cola"}, {}, "task.max_length = 128, but"),
        ("gpt2", {"name": "cola"}, {}, "task.max_length = 128, but"),
        ("t5", {"name": "stsb"}, {"evaluation": "rank"}, "'stsb' has no set of labels to rank"),
    ],
)
def test_what_a_model_cannot_answer_is_one_clear_line(tmp_path, models, root, family, task, changes, says):
    run = make_run(tmp_path / "run", run_spec(models[family], root, task=task | {"data_root": str(root)}, **changes))
    assert execute(run) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert (failed.kind, says in failed.message) == ("spec", True)
