"""Settings: equal ones are the same run, anything else that differs is another, and nonsense is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from core.run.added import not_in_digest
from core.run.errors import SpecError
from core.run.spaces import inline_space, library_space
from core.run.spec import PAPER_RUN, PAPER_TASK, RunSpec
from core.run.task_spec import FileTask, NamedTask
from core.run.training import (
    PAPER_RETRAIN,
    PAPER_SEARCH,
    BipeftSettings,
    FixedSettings,
    PeftSettings,
    RetrainSettings,
    SaliencySettings,
    SearchSettings,
    Training,
)

NAMED = {"name": "icd10-chapter"}
FILE = {"path": "/data/reviews.jsonl", "text": ["title", "body"], "label": "stars"}
BASE = {"model": "builtin:minilm", "task": NAMED, "space": library_space("mix-low-rank"), "budget": 4e-4}


def spec(**changes: Any) -> RunSpec:
    return RunSpec.model_validate(BASE | changes)


def reread(one: RunSpec) -> RunSpec:
    return RunSpec.model_validate(json.loads(json.dumps(one.model_dump(mode="json"))))


# For each field a value that is not the default.
OTHER_TRAINING = {
    "max_steps": 10,
    "epochs": 2.5,
    "batch_size": 17,
    "eval_every": 7,
    "gradient_accumulation": 2,
    "gradient_checkpointing": True,
    "optimizer": "adafactor",
    "learning_rate": 1e-3,
    "head_learning_rate": 2e-3,
    "weight_decay": 0.1,
    "warmup_steps": 3,
    "clip": 1.0,
}
OTHER_RETRAIN = OTHER_TRAINING | {"start": "scratch"}
OTHER_SEARCH = OTHER_TRAINING | {
    "validation_batch_size": 32,
    "alpha_learning_rate": 0.2,
    "alpha_warmup_steps": 5,
    "hypergradient": "exact",
    "virtual_scaling": "paper",
    "bilevel": False,
    "strategy": "tau-theta",
    "l0_lambda": 0.1,
    "shift_gradient": "paper",
    "budget_decay_steps": 5,
    "shared_gates": False,
    "shared_dropout": False,
    "clip_virtual": False,
    "gates": "hard",
    "stretch_low": -0.2,
    "stretch_high": 1.2,
    "temperature": 2.0,
    "final_temperature": 0.5,
    "patience": 3,
    "selection": "sampled",
    "selection_samples": 5,
}
OTHER_NAMED = {"name": "other", "data_root": "/data", "flaws": "paper", "per_class": 5, "max_length": 16}
OTHER_FILE = {
    "path": "/data/other.csv",
    "text": ("body", "title"),
    "label": "mood",
    "kind": "regression",
    "labels": ("good", "bad"),
    "max_length": 16,
    "delimiter": ";",
    "encoding": "cp1252",
    "quoting": "none",
    "on_bad_rows": "drop",
    "fold_labels": True,
    "class_weights": "balanced",
    "score": "macro_f1",
}
OTHER_RUN = {
    "exportable": "peft",
    "head": True,
    "trust_remote_code": True,
    "prompt": "{text} ",
    "shots": 4,
    "on_long_rows": "drop",
    "model": "other",
    "task": FILE,
    "space": library_space("lora"),
    "method": "random",
    "budget": 4.0001e-4,
    "seed": 1,
    "data_seed": 1,
    "device": "cpu",
    "precision": "fp32",
    "eval_batch_size": 64,
    "checkpoint_every": 7,
    "evaluation": "generate",
    "dropout": "torch",
    "adapter_init": "paper",
    "step_scale": "shared",
    "search": {"max_steps": 1},
    "bipeft": {"window": 1},
    "saliency": {"batches": 1},
    "fixed": {"order": "even"},
    "peft": {"rank": 1},
    "retrain": {"max_steps": 1},
}
OTHER_BIPEFT = {
    "temperature": 4.0,
    "final_temperature": 2.0,
    "smoothing": 0.5,
    "stability": 0.9,
    "window": 3,
    "pruning_steps": 10,
    "prune_after": 5,
}
OTHER_SALIENCY = {"criterion": "fisher", "batches": 2, "head_steps": 0, "lora_start": "random"}
OTHER_FIXED = {"order": "even"}
OTHER_PEFT = {"targets": "ffn.in", "rank": 2, "alpha": 8, "use_rslora": True}


# What some keys are refused without, or mean nothing without.
NEEDED: dict[str, dict[str, object]] = {
    "l0_lambda": {"strategy": "l0"},
    "selection_samples": {"selection": "sampled"},
}


def training(key: str, value: object) -> dict[str, object]:
    """The table of a training in which one key differs from `epochs = 1`."""
    return {key: value} if key in ("max_steps", "epochs") else {"epochs": 1, key: value} | NEEDED.get(key, {})


def every_difference() -> list[RunSpec]:
    """Specs each of which differs from the base, or from the base on a file, in one value."""
    # Only runs of their methods differ by these tables.
    own = {"saliency": ("saliency", OTHER_SALIENCY), "fixed": ("fixed", OTHER_FIXED), "peft": ("eva", OTHER_PEFT)}
    runs = [spec(**{key: value}) for key, value in OTHER_RUN.items() if key not in own]
    for table, (method, other) in own.items():
        runs += [spec(method=method, **{table: one}) for one in ({}, *({k: v} for k, v in other.items()))]
    runs += [spec(search=training(k, v)) for k, v in OTHER_SEARCH.items() if k != "max_steps"]
    runs += [spec(bipeft={key: value}) for key, value in OTHER_BIPEFT.items() if key != "window"]
    runs += [spec(retrain=training(k, v)) for k, v in OTHER_RETRAIN.items() if k != "max_steps"]
    runs += [spec(task=NAMED | {key: value}) for key, value in OTHER_NAMED.items()]
    runs += [spec(task=FILE | {key: value}) for key, value in OTHER_FILE.items()]
    spaces = [
        inline_space("a", {"attn.q": ["lora"]}),
        inline_space("b", {"attn.q": ["lora"]}),
        inline_space("a", {"attn.k": ["lora"]}),
        inline_space("a", {"attn.q": ["lora(rank=1)"]}),
        inline_space("a", {"attn.q": ["lora", "bitfit"]}),
        inline_space("a", {"attn.q": ["bitfit", "lora"]}),
        # The order of patterns numbers the candidates.
        inline_space("a", {"attn.q": ["lora"], "attn.*": ["bitfit"]}),
        inline_space("a", {"attn.*": ["bitfit"], "attn.q": ["lora"]}),
    ]
    return [*runs, *(spec(space=space) for space in spaces)]


@pytest.mark.parametrize(
    ("table", "model"),
    [
        (OTHER_RUN, RunSpec),
        (OTHER_SEARCH, SearchSettings),
        (OTHER_BIPEFT, BipeftSettings),
        (OTHER_SALIENCY, SaliencySettings),
        (OTHER_FIXED, FixedSettings),
        (OTHER_PEFT, PeftSettings),
        (OTHER_RETRAIN, RetrainSettings),
        (OTHER_NAMED, NamedTask),
        (OTHER_FILE, FileTask),
    ],
)
def test_every_field_is_among_the_differences_that_are_tested(table: dict[str, Any], model: type[BaseModel]):
    assert set(table) == set(model.model_fields)


def test_specs_that_differ_anywhere_are_different_runs():
    specs = [spec(), *every_difference()]
    assert len({one.digest() for one in specs}) == len(specs)
    assert len(set(specs)) == len(specs)


def test_a_spec_comes_back_from_json():
    for one in every_difference():
        again = reread(one)
        assert again == one
        assert (again.digest(), hash(again)) == (one.digest(), hash(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"seed": 0, "method": "s3", "search": {"epochs": 1.0}}),
        ({"budget": 100}, {"budget": 100.0}),
        ({"search": {"epochs": 1, "clip": 2}}, {"search": {"clip": 2.0, "epochs": 1.0}}),
        ({"task": FILE | {"text": "body"}}, {"task": FILE | {"text": ["body"]}}),
        (
            {"space": inline_space("a", {"attn.q": ["lora(rank=8)"]})},
            {"space": {"name": "a", "groups": [{"attn.q": ["lora"]}]}},
        ),
    ],
)
def test_equal_specs_are_the_same_run_however_they_are_written(one, other):
    assert spec(**one) == spec(**other)
    assert spec(**one).digest() == spec(**other).digest()


def test_a_saliency_run_of_before_loras_had_a_start_keeps_its_digest():
    now = spec(method="saliency")
    written = now.model_dump(mode="json")
    del written["saliency"]["lora_start"]  # as an earlier version wrote it
    then = RunSpec.of_file(written)
    assert (now.saliency.lora_start, then.saliency.lora_start) == ("gradient", "random")
    assert "lora_start" not in then.model_dump_json(exclude=not_in_digest(then.model_dump()))
    assert now.digest() != then.digest() == RunSpec.of_file(then.model_dump(mode="json")).digest()


def test_a_run_of_before_steps_were_balanced_keeps_its_steps_and_its_digest():
    """Settings and digest as version 0.1.0 wrote them (`tiny/all` of its archive)."""
    queries = {"name": "queries", "groups": [{"attn.{q,v}": ["lora(rank=1)"]}]}
    named = {"name": "icd10-chapter", "per_class": 40, "max_length": 16}
    search = {"max_steps": 12, "batch_size": 8, "eval_every": 6, "learning_rate": 0.01, "warmup_steps": 0}
    retrain = {"max_steps": 30, "batch_size": 16, "eval_every": 10, "learning_rate": 0.03, "warmup_steps": 0}
    base = {"model": "example/tiny-bert", "task": named, "space": queries, "method": "fixed", "checkpoint_every": 10}
    now = RunSpec.model_validate(base | {"search": search, "retrain": retrain})
    written = now.model_dump(mode="json")
    del written["step_scale"], written["search"]["head_learning_rate"], written["retrain"]["head_learning_rate"]
    then = RunSpec.of_file(written)
    assert (then.step_scale, then.digest()) == ("shared", "3afdab87bac2")
    assert (now.step_scale, now.digest()) != ("shared", "3afdab87bac2")
    assert RunSpec.of_file(then.model_dump(mode="json")).digest() == "3afdab87bac2"
    assert RunSpec.of_file(now.model_dump(mode="json")) == now


def test_a_table_that_a_method_does_not_read_does_not_change_its_runs():
    for method in ("s3", "bipeft", "random", "full"):
        base, other = spec(method=method), spec(method=method, saliency={"batches": 3})
        assert base.digest() == other.digest()
        written = base.model_dump(mode="json")
        del written["saliency"]  # as an earlier version wrote it
        assert RunSpec.of_file(written).digest() == base.digest()


def test_a_key_that_a_selection_does_not_read_does_not_change_its_runs():
    for how in ("first-fit", "knapsack", "perturbation"):
        base, other = (spec(search={"epochs": 1, "selection": how} | more) for more in ({}, {"selection_samples": 3}))
        assert base.digest() == other.digest()
        written = base.model_dump(mode="json")
        del written["search"]["selection_samples"]  # as an earlier version wrote it
        assert RunSpec.of_file(written).digest() == base.digest()


@pytest.mark.parametrize("how", ["perturbation", "sampled"])
def test_a_cut_by_the_network_is_refused_where_p_does_not_decide(how):
    search = {"epochs": 1, "selection": how}
    for method in ("s3", "random", "full"):
        spec(method=method, search=search)
    for method in ("bipeft", "saliency"):
        with pytest.raises(
            ValidationError, match=f'method .{method}. selects by its .*: leave selection = "{how}" out'
        ):
            spec(method=method, search=search)


def test_a_run_that_may_choose_anything_keeps_its_digest():
    assert "exportable" not in RunSpec.model_validate(spec()).model_dump(exclude=not_in_digest(spec().model_dump()))
    for key in ("head", "trust_remote_code", "prompt", "shots", "on_long_rows"):
        assert key not in RunSpec.model_validate(spec()).model_dump(exclude=not_in_digest(spec().model_dump()))
    assert spec(exportable="any").digest() == spec().digest() != spec(exportable="peft").digest()


def test_a_digest_is_twelve_hex_digits():
    assert len(spec().digest()) == 12
    assert int(spec().digest(), 16)


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValidationError):
        spec().seed = 1


@pytest.mark.parametrize("where", ["", "task", "search", "bipeft", "saliency", "retrain"])
def test_an_unknown_key_is_refused_everywhere(where):
    tables = {"task": NAMED, "search": {"epochs": 1}, "bipeft": {}, "saliency": {}, "retrain": {"epochs": 1}}
    changes = {where: tables[where] | {"sead": 1}} if where else {"sead": 1}
    with pytest.raises(ValidationError, match="sead"):
        spec(**changes)


NUMBERS = {
    "positive": ([1, 1000], [0, -1, 1.5, "many", float("inf")]),
    "not_negative": ([0, 1], [-1, 0.5, None]),
    "warmup": ([0, 1, 20, 0.1, 0.999], [-1, -0.1, 1.5, "some", float("inf"), None]),
    "rate": ([1e-9, 1, 3.5], [0, -1e-3, float("nan"), float("inf"), None]),
    "not_negative_real": ([0, 0.1, 3], [-0.1, float("nan"), float("inf"), None]),
}
TRAINING_RANGES = {
    "batch_size": "positive",
    "eval_every": "positive",
    "learning_rate": "rate",
    "weight_decay": "not_negative_real",
    "warmup_steps": "warmup",
    "clip": "rate",
    "gradient_accumulation": "positive",
}
RANGES = {
    ("seed",): "not_negative",
    ("data_seed",): "not_negative",
    ("eval_batch_size",): "positive",
    ("checkpoint_every",): "positive",
    ("task", "per_class"): "positive",
    ("task", "max_length"): "positive",
    **{("search", key): kind for key, kind in TRAINING_RANGES.items()},
    **{("retrain", key): kind for key, kind in TRAINING_RANGES.items()},
    ("search", "validation_batch_size"): "positive",
    ("search", "alpha_learning_rate"): "rate",
    ("search", "alpha_warmup_steps"): "warmup",
    ("search", "temperature"): "rate",
    ("search", "budget_decay_steps"): "not_negative",
}


def with_value(key: tuple[str, ...], value: object) -> dict[str, Any]:
    tables: dict[str, dict[str, Any]] = {"task": NAMED, "search": {"epochs": 1}, "retrain": {"epochs": 1}}
    return {key[0]: value} if len(key) == 1 else {key[0]: tables[key[0]] | {key[1]: value}}


@pytest.mark.parametrize(("key", "kind"), RANGES.items(), ids=lambda x: x if isinstance(x, str) else ".".join(x))
def test_a_number_stays_in_its_range(key, kind):
    good, bad = NUMBERS[kind]
    for value in good:
        spec(**with_value(key, value))
    for value in bad:
        with pytest.raises(ValidationError, match=key[-1]):
            spec(**with_value(key, value))


@pytest.mark.parametrize(
    ("key", "known"),
    [
        (("method",), ["s3", "bipeft", "saliency", "random", "fixed", "full"]),
        (("precision",), ["auto", "fp32", "bf16"]),
        (("step_scale",), ["balanced", "shared"]),
        (("adapter_init",), ["zero", "paper"]),
        (("device",), ["auto", "cpu", "cuda", "cuda:0", "cuda:13"]),
        (("search", "hypergradient"), ["first-order", "central-difference", "forward-difference", "exact"]),
        (("search", "virtual_scaling"), ["exact", "paper"]),
        (("search", "optimizer"), ["adamw", "adafactor"]),
        (("retrain", "optimizer"), ["adamw", "adafactor"]),
        (("search", "strategy"), ["shift", "tau-theta", "l0"]),
        (("search", "shift_gradient"), ["exact", "paper"]),
        (("search", "gates"), ["soft", "hard"]),
        (("search", "selection"), ["first-fit", "knapsack", "perturbation", "sampled"]),
    ],
    ids=lambda value: ".".join(value),
)
def test_a_choice_is_one_of_the_known(key, known):
    for value in known:
        spec(**with_value(key, value))
    for value in ("other", "", "cuda:", "cuda:x", "CPU"):
        with pytest.raises(ValidationError, match=key[-1]):
            spec(**with_value(key, value))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"bilevel": False, "hypergradient": "exact"}, 'leave hypergradient out, or "first-order"'),
        ({"l0_lambda": 0.1}, 'l0_lambda is of strategy = "l0" alone'),
        ({"strategy": "l0", "stretch_low": 0.0}, "needs a stretch_low below 0"),
        ({"strategy": "l0", "budget_decay_steps": 3}, "leave budget_decay_steps out"),
        ({"stretch_low": 0.1}, "stretch_low"),
        ({"stretch_high": 0.9}, "stretch_high"),
    ],
)
def test_settings_that_do_nothing_together_are_refused(table, message):
    with pytest.raises(ValidationError, match=message):
        SearchSettings(**table)


@pytest.mark.parametrize("strategy", ["tau-theta", "l0"])
def test_alternatives_are_for_the_shift_alone(strategy):
    ranks = inline_space("ranks", {"attn.q": ["lora(rank=[1, 2])"]})
    with pytest.raises(ValidationError, match='is a choice of one, which needs strategy = "shift"'):
        spec(space=ranks, search={"strategy": strategy})
    spec(space=ranks, search={"strategy": strategy}, method="random")


def test_bipeft_needs_the_halves_of_the_data():
    one_level = {"bilevel": False}
    with pytest.raises(ValidationError, match="leave bilevel = false out"):
        spec(method="bipeft", search=one_level)
    with pytest.raises(ValidationError, match="needs a budget"):
        spec(method="bipeft", budget=None)


def test_one_level_looks_ahead_to_no_step():
    assert SearchSettings(bilevel=False).hypergradient == "first-order"
    assert SearchSettings().hypergradient == "central-difference"


def test_l0_stretches_its_gates_unless_told_otherwise():
    found = [
        (s.stretch_low, s.stretch_high)
        for s in (SearchSettings(strategy="l0"), SearchSettings(strategy="l0", stretch_low=-0.5), SearchSettings())
    ]
    assert found == [(-0.1, 1.1), (-0.5, 1.1), (0.0, 1.0)]


@pytest.mark.parametrize("settings", [SearchSettings, RetrainSettings])
def test_a_training_has_one_length(settings: type[Training]):
    assert settings(max_steps=5).epochs is None
    assert settings(epochs=0.5).max_steps is None
    assert settings() == settings(epochs=1)
    with pytest.raises(ValidationError, match="either max_steps or epochs"):
        settings(max_steps=5, epochs=1)
    for length in ({"max_steps": 0}, {"max_steps": 2.5}, {"epochs": 0}, {"epochs": float("inf")}):
        with pytest.raises(ValidationError):
            settings(**length)


@pytest.mark.parametrize("budget", [1e-9, 0.5, 1, 1.0, 102_458, 1e9])
def test_a_budget_is_a_share_or_a_whole_number(budget):
    assert reread(spec(budget=budget)).budget == budget


@pytest.mark.parametrize("budget", [0, -1, 1.5, 102_458.1, float("nan"), float("inf"), "much"])
def test_what_is_neither_a_share_nor_a_count_is_no_budget(budget):
    with pytest.raises(ValidationError, match="budget"):
        spec(budget=budget)


@pytest.mark.parametrize(
    ("budget", "parameters"),
    [(None, None), (1.389e-4, 102_458), (3.48e-5, 25_669), (0.9999999, 737_639_350), (1, 1), (102_458, 102_458)],
)
def test_a_budget_in_parameters_is_the_papers(budget, parameters):
    assert spec(budget=budget, method="fixed").parameter_budget(737_639_424) == parameters


@given(st.integers(1, 2**53))
def test_a_count_of_parameters_is_kept_to_the_last_one(count):
    assert reread(spec(budget=count)).parameter_budget(10) == count


@pytest.mark.parametrize("method", ["s3", "random"])
def test_what_chooses_needs_a_budget_and_something_to_choose_from(method):
    with pytest.raises(ValidationError, match="needs a budget"):
        spec(method=method, budget=None)
    for empty in (library_space("none"), inline_space("x", {}), inline_space("x", {"attn.q": []})):
        with pytest.raises(ValidationError, match="nothing to choose from"):
            spec(method=method, space=empty)


@pytest.mark.parametrize("method", ["fixed", "full"])
def test_what_does_not_choose_needs_neither(method):
    assert spec(method=method, budget=None, space=library_space("none")).budget is None


def test_the_preset_makes_the_choices_of_the_paper():
    one = spec(preset="paper")
    assert one.search == SearchSettings(epochs=1, **PAPER_SEARCH)
    assert {key: getattr(one, key) for key in PAPER_RUN} == PAPER_RUN
    tables = {"task": NAMED | PAPER_TASK, "search": PAPER_SEARCH | {"epochs": 1}, "retrain": PAPER_RETRAIN}
    assert one == spec(**tables, **PAPER_RUN)
    assert spec(preset="paper", task=FILE).task == FileTask(**FILE)
    assert reread(one) == one


def test_every_choice_of_the_preset_is_one_that_exists():
    assert set(PAPER_SEARCH) <= set(SearchSettings.model_fields)
    assert set(PAPER_RUN) <= set(RunSpec.model_fields)
    assert set(PAPER_RETRAIN) <= set(RetrainSettings.model_fields)
    assert set(PAPER_TASK) <= set(NamedTask.model_fields)


def test_keys_beside_the_preset_win():
    one = spec(preset="paper", adapter_init="zero", search={"max_steps": 5, "hypergradient": "exact", "clip": 1.0})
    assert (one.adapter_init, one.search.hypergradient, one.search.clip) == ("zero", "exact", 1.0)
    assert (one.search.virtual_scaling, one.search.max_steps, one.search.epochs) == ("paper", 5, None)
    assert spec(preset="paper", task=NAMED | {"flaws": "mended"}).task.flaws == "mended"
    assert spec(preset="paper", search=SearchSettings(max_steps=5, clip=1.0)).search == SearchSettings(
        **(PAPER_SEARCH | {"max_steps": 5, "clip": 1.0})
    )


@pytest.mark.parametrize("search", [5, "fast", None])
def test_a_faulty_search_beside_the_preset_is_told(search):
    with pytest.raises(ValidationError, match="search"):
        spec(preset="paper", search=search)


@pytest.mark.parametrize("preset", ["papre", "", None, ["paper"]])
def test_an_unknown_preset_is_refused(preset):
    with pytest.raises(ValidationError, match="known: 'paper'"):
        spec(preset=preset)


def test_a_task_is_told_from_its_keys():
    assert isinstance(spec(task=NAMED).task, NamedTask)
    assert isinstance(spec(task=FILE).task, FileTask)
    assert isinstance(spec(task=FileTask(**FILE)).task, FileTask)
    with pytest.raises(ValidationError):
        spec(task="icd10-chapter")
    with pytest.raises(ValidationError, match="text"):
        spec(task={"path": "x.csv", "label": "y"})
    with pytest.raises(ValidationError, match="name"):
        spec(task={})


def test_labels_of_a_file_are_kept_in_their_order():
    assert FileTask(**FILE, labels=["good", "bad"]).labels == ("good", "bad")
    assert FileTask(**FILE, kind="classification", labels=("b", "a", "c")).labels == ("b", "a", "c")
    assert FileTask(**FILE).labels is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": ["good", "bad", "good"]}, "'good' is among them more than once"),
        ({"labels": ["good"]}, "at least two classes"),
        ({"labels": []}, "at least two classes"),
        ({"labels": ["good", "bad"], "kind": "regression"}, "leave labels out"),
        ({"text": []}, "text"),
        ({"kind": "guess"}, "kind"),
        ({"max_length": 0}, "max_length"),
        ({"delimiter": "::"}, "it is one character"),
        ({"delimiter": '"'}, "it is one character"),
        ({"encoding": "latin-nine"}, "no text encoding of this name"),
        ({"encoding": "base64"}, "no text encoding of this name"),
        ({"class_weights": "balanced", "kind": "regression"}, "leave class_weights out"),
    ],
)
def test_a_file_task_that_makes_no_sense_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        FileTask.model_validate(FILE | changes)


def test_a_task_from_files_of_an_earlier_version_keeps_its_digest():
    """Settings and digest as the version before delimiters, encodings and class weights wrote them."""
    task = {"path": "reviews.csv", "text": ["title", "body"], "label": "stars", "kind": "auto", "labels": None,
            "max_length": 128}  # fmt: skip
    space = {"name": "all", "groups": [{"attn.q": ["bitfit"]}]}
    tables = {key: {"learning_rate": 3e-4, "warmup_steps": 0} for key in ("search", "retrain")}
    then = RunSpec.of_file({"model": "tiny", "task": task, "space": space, "budget": 0.01} | tables)
    assert then.digest() == "da19e8375494"
    assert reread(then).digest() == "da19e8375494"
    assert RunSpec.of_file(then.model_dump(mode="json") | {"task": task | {"encoding": "cp1252"}}) != then


def test_a_regression_from_files_comes_back_from_its_file():
    one = spec(task=FILE | {"kind": "regression"})
    assert RunSpec.of_file(one.model_dump(mode="json")) == one


def test_an_unknown_delta_in_a_frozen_spec_is_told_in_our_words():
    data = spec().model_dump(mode="json")
    data["space"]["groups"][0] = {"attn.q": ["lorra"]}
    with pytest.raises(SpecError, match="did you mean 'lora'"):
        RunSpec.model_validate(data)


def test_every_key_is_described():
    for model in (RunSpec, SearchSettings, RetrainSettings, NamedTask, FileTask):
        for name, field in model.model_fields.items():
            assert (field.description or "").endswith("."), f"{model.__name__}.{name}"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("papr", "known: paper, chat, or a template that names columns in braces"),
        ("{text", "a brace that is text is written twice"),
        ("{text!r}", "a field is the name of a column in braces, without more"),
        ("{}", "a field is the name of a column in braces, without more"),
    ],
)
def test_a_prompt_that_is_no_template_is_refused(prompt, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        spec(prompt=prompt)
