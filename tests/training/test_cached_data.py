"""Tokenised data are kept on the disk, and nobody can tell from what a run finds whether they were."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from support import DATA, make_run, run_spec, save_model, save_reviews
from workers import outcome

from core.model.backbone import open_pretrained
from core.run.errors import EXIT_OK, SpecError
from core.run.spec import RunSpec
from core.tasks import cache
from core.training.data import Data, load_data
from core.worker.execute import execute

CPU = torch.device("cpu")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache.folder()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cached")
    for family in ("bert", "t5", "gpt2"):
        save_model(family, folder / family)
    (folder / "squad").mkdir()
    for split, count in (("train", 12), ("validation", 8)):
        answers = [{"text": ["good", "the film"], "answer_start": [0, 0]} for _ in range(count)]
        rows = [{"question": "it", "context": "a good film", "answers": answer} for answer in answers]
        (folder / "squad" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def load(spec: RunSpec) -> Data:
    return load_data(spec, open_pretrained(spec.model), CPU, lambda task: None)


def batches(data: Data) -> list[dict[str, list]]:
    """Everything that a model is given of the data."""
    splits = [(split, range(len(rows))) for split, rows in data.splits.items()]
    made = [data.batch(split, rows) for split, rows in splits] + [data.questions(split, rows) for split, rows in splits]
    return [{name: tensor.tolist() for name, tensor in batch.items()} for batch in made]


def reviews(tmp_path: Path, number: bool = False) -> Path:
    return save_reviews(tmp_path / "reviews.jsonl", 60, number)


@pytest.mark.parametrize(
    ("family", "task"),
    [("bert", "classes"), ("bert", "numbers"), ("t5", "classes"), ("gpt2", "classes"), ("t5", "squad")],
)
def test_cached_and_fresh_data_are_the_same(tmp_path, home, place, family, task):
    spec = run_spec(place / family, reviews(tmp_path, number=task == "numbers"))
    if task == "squad":
        spec = run_spec(place / family, DATA, task={"name": "squad", "data_root": str(place), "max_length": 24})
    fresh = load(spec)
    assert len(list(home.iterdir())) == 1
    cached = load(spec)
    assert batches(cached) == batches(fresh)
    assert cached.task == fresh.task
    assert (cached.answering, cached.splits) == (fresh.answering, fresh.splits)


def test_a_cached_run_ends_bit_for_bit_as_the_one_that_filled_the_cache(tmp_path, home, place):
    spec = run_spec(place / "bert", reviews(tmp_path))
    runs = [make_run(tmp_path / name, spec) for name in ("first", "second")]
    assert [execute(run) for run in runs] == [EXIT_OK, EXIT_OK]
    assert len(list(home.iterdir())) == 1
    assert outcome(runs[0]) == outcome(runs[1])


def test_what_differs_is_not_taken_for_the_same(tmp_path, home, place):
    data = reviews(tmp_path)
    spec = run_spec(place / "bert", data)
    first = load(spec)
    text = data.read_text()
    data.write_text(text.replace("good", "poor").replace('"poor"', '"good"', 1))
    assert batches(load(spec)) != batches(first)
    data.write_text(text)
    for other in ({"data_seed": 1}, {"task": spec.task.model_dump() | {"max_length": 4}}):
        assert batches(load(run_spec(place / "bert", data, **other))) != batches(first)
    assert "token_type_ids" not in load(run_spec(place / "t5", data)).batch("train", [0])
    assert len(list(home.iterdir())) == 5
    assert batches(load(spec)) == batches(first)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: bytes(len(b))],
    ids=["empty", "torn", "one bit", "zeros"],
)
def test_a_damaged_file_is_made_anew(tmp_path, home, place, damage):
    spec = run_spec(place / "bert", reviews(tmp_path))
    fresh = load(spec)
    (file,) = home.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert batches(load(spec)) == batches(fresh)
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, place, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    spec = run_spec(place / "bert", reviews(tmp_path))
    assert batches(load(spec)) == batches(load(spec))


def test_what_cannot_be_trained_on_is_refused_from_the_cache_too(tmp_path, home, place):
    spec = run_spec(place / "bert", reviews(tmp_path))
    load(spec)

    def check(task):
        raise SpecError(f"{task.max_length} is too long")

    with pytest.raises(SpecError, match="24 is too long"):
        load_data(spec, open_pretrained(spec.model), CPU, check)


def fill(path: str, tokenised: cache.Tokenised, times: int) -> None:
    for _ in range(times):
        cache.write(Path(path), tokenised)
        assert cache.read(Path(path)) == tokenised


def test_processes_that_write_and_read_at_once_find_whole_files(tmp_path, home, place):
    data = load(run_spec(place / "bert", reviews(tmp_path)))
    (file,) = home.iterdir()
    context = multiprocessing.get_context("fork")
    arguments = (str(file), cache.Tokenised(data.task, data.splits), 40)
    writers = [context.Process(target=fill, args=arguments) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert list(home.iterdir()) == [file]


def test_what_was_unused_for_longest_goes_first(tmp_path, home, place, monkeypatch):
    data = reviews(tmp_path)
    specs = [run_spec(place / "bert", data, data_seed=seed) for seed in range(3)]
    files = []
    for spec in specs[:2]:
        load(spec)
        files += [path for path in home.iterdir() if path not in files]
    (home / ".left-by-a-kill").write_bytes(b"half")
    os.utime(home / ".left-by-a-kill", (0, 0))
    monkeypatch.setattr(cache, "LARGEST_BYTES", 2 * files[0].stat().st_size + 100)
    load(specs[0])  # used again
    load(specs[2])
    assert files[0].exists()
    assert not files[1].exists()
    assert len(list(home.iterdir())) == 2
