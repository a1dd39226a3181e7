"""Variants of a matrix: named tables of settings, merged between the experiment and the other keys of the matrix."""

import pytest

HEAD = """
[defaults]
model = "builtin:minilm"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
search.max_steps = 100
retrain = { max_steps = 300, batch_size = 8, eval_every = 100 }
[experiment.a]
seed = 7
"""


def test_each_variant_is_the_experiment_with_its_settings_and_the_other_keys_of_the_matrix_are_over_them(suite):
    planned = suite(
        HEAD
        + """
retrain.batch_size = 16
[experiment.a.matrix]
retrain.learning_rate = [1e-3, 1e-2]
[experiment.a.matrix.variant]
searched = {}
last = { method = "fixed", space = "bitfit", seed = 3, retrain = { clip = 2.0, learning_rate = 0.5 } }
even = { method = "fixed", fixed.order = "even" }
"""
    )
    assert [run.name for run in planned.runs[:3]] == [
        "a/retrain.learning_rate=0.001,variant=searched",
        "a/retrain.learning_rate=0.001,variant=last",
        "a/retrain.learning_rate=0.001,variant=even",
    ]
    searched, last, even, *_, tuned = (run.spec for run in planned.runs)
    assert [spec.method for spec in (searched, last, even)] == ["s3", "fixed", "fixed"]
    assert [spec.space.name for spec in (searched, last, even)] == ["mix-low-rank", "bitfit", "mix-low-rank"]
    assert [spec.seed for spec in (searched, last, even)] == [7, 3, 7]
    assert (last.fixed.order, even.fixed.order) == ("last", "even")
    retrain = last.retrain
    assert (retrain.max_steps, retrain.batch_size, retrain.clip, retrain.learning_rate) == (300, 16, 2.0, 1e-3)
    assert tuned.retrain.learning_rate == 1e-2


def test_variants_race(suite):
    planned = suite(
        HEAD
        + """
race = { rungs = [100, 200] }
matrix = { variant = { searched = {}, bitfit = { method = "fixed", space = "bitfit" } }, seed = [0, 1] }
"""
    )
    assert planned.races["a"].arms == tuple(f"a/variant={n},seed={s}" for n in ("searched", "bitfit") for s in (0, 1))
    assert {run.spec.retrain.max_steps for run in planned.runs} == {200}


@pytest.mark.parametrize(
    ("variants", "problem"),
    [
        ('["a"]', "variant: should be a table of tables of settings, as in { searched = {}"),
        ("{}", "variant: should be a table of tables of settings, as in { searched = {}"),
        ("{ x = 3 }", "variant.x: should be a table"),
        ("{ x = { retrain = 3 } }", "variant.x.retrain: should be a table"),
        ("{ x = { priority = 3 }, y = {} }", "variant.x.priority: unknown key"),
        ("{ x = { methd = 's3' } }", "variant.x.methd: unknown key, did you mean 'method'?"),
        ("{ x = { method = 'lara' } }", "variant.x.method: unknown value 'lara', did you mean 'lora'?"),
        ("{ x = { retrain.clip = -1.0 } }", "variant.x.retrain.clip: should be more than 0, not -1.0"),
        ("{ x = { structure = 'run:b', method = 's3' } }", "variant.x.method: a given structure is trained as it is"),
    ],
)
def test_what_is_wrong_with_a_variant_is_said_at_its_key(problems, variants, problem):
    assert any(
        line.startswith(f"experiment.a.matrix.{problem}") for line in problems(f"{HEAD}matrix.variant = {variants}\n")
    )


@pytest.mark.parametrize(
    "matrix", ["{ variant = { x = { retrain.max_steps = 5 }, y = {} } }", "{ retrain.max_steps = [5, 9] }"]
)
def test_an_arm_of_another_length_than_the_last_rung_is_refused(problems, matrix):
    assert problems(f"{HEAD}race = {{ rungs = [100, 300] }}\nmatrix = {matrix}\n") == [
        "experiment.a.race.rungs: the last is the length of every arm: leave the length of retrain out of the matrix"
    ]
