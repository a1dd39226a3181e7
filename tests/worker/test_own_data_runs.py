"""Runs on data as people have them: what is left out is counted, and rare classes count if they shall."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from support import make_run, run_spec, save_model, save_reviews
from torch.nn import functional as F

from core.model.backbone import load_backbone
from core.run.errors import EXIT_OK, EXIT_USAGE
from core.run.events import Data, Failed, read_events
from core.run.rundir import read_json
from core.tasks import load_task
from core.training.data import encode
from core.training.loss import ROW_WEIGHTS, loss_of
from core.worker.execute import execute


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_model("bert", tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def uneven(tmp_path):
    """Reviews of which 19 of 20 are good, and three without a text."""
    path = save_reviews(tmp_path / "reviews.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    good, bad = ([row for row in rows if row["label"] == label] for label in ("good", "bad"))
    rows = [*(good * 3)[:285], *bad[:15], *[{"text": "", "label": "good"}] * 3]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def task(path, **keys):
    return {"path": str(path), "text": ["text"], "label": "label", "max_length": 24} | keys


def test_rows_that_are_left_out_are_counted_in_the_events_the_result_and_the_log(tmp_path, bert, uneven):
    run = make_run(tmp_path / "run", run_spec(bert, uneven, method="fixed", task=task(uneven, on_bad_rows="drop")))
    assert execute(run) == EXIT_OK
    (data,) = [event for event in read_events(run.events)[0] if isinstance(event, Data)]
    assert (data.rows, data.left_out) == ({"train": 240, "validation": 30, "test": 30}, {"have an empty 'text'": 3})
    result = read_json(run.result)
    assert (result["splits"], result["left_out"]) == (data.rows, data.left_out)
    assert result["metric"] == "macro_f1"


def test_without_being_asked_to_a_run_leaves_nothing_out(tmp_path, bert, uneven):
    run = make_run(tmp_path / "run", run_spec(bert, uneven, method="fixed"))
    assert execute(run) == EXIT_USAGE
    failed = read_events(run.events)[0][-1]
    assert isinstance(failed, Failed)
    assert "3 of 303 rows have an empty 'text': lines 301, 302, 303" in failed.message


def test_a_search_with_balanced_weights_runs(tmp_path, bert, uneven):
    settings = task(uneven, on_bad_rows="drop", class_weights="balanced")
    run = make_run(tmp_path / "run", run_spec(bert, uneven, task=settings))
    assert execute(run) == EXIT_OK


def test_the_loss_of_a_row_is_weighted_by_its_class(bert, uneven):
    spec = run_spec(bert, uneven, task=task(uneven, on_bad_rows="drop", class_weights="balanced"))
    cpu = torch.device("cpu")
    backbone = load_backbone(str(bert), 2, False, cpu, torch.float32, 0)
    data = encode(load_task(spec.task, 0), backbone, cpu)
    labels = [row.label for row in data.task.splits["train"]]
    rows = [0, 1, labels.index(0), labels.index(1)]
    batch = data.batch("train", rows)
    counts = Counter(row.label for row in data.task.splits["train"])
    assert batch[ROW_WEIGHTS].tolist() == pytest.approx([240 / (2 * counts[i]) for i in batch["labels"].tolist()])
    with torch.no_grad():
        weighted = loss_of(backbone.model, batch, "torch")
        logits = backbone.model(**data.questions("train", rows)).logits
    losses = F.cross_entropy(logits, batch["labels"], reduction="none")
    torch.testing.assert_close(weighted, (losses * batch[ROW_WEIGHTS]).mean())
    assert ROW_WEIGHTS not in data.batch("validation", [0])


def test_a_model_that_writes_refuses_weights_in_one_line(tmp_path, uneven):
    save_model("t5", tmp_path / "t5")
    settings = task(uneven, on_bad_rows="drop", class_weights="balanced")
    run = make_run(tmp_path / "run", run_spec(tmp_path / "t5", uneven, task=settings))
    assert execute(run) == EXIT_USAGE
    assert 'class_weights = "balanced" is for models that answer with a head' in read_events(run.events)[0][-1].message
