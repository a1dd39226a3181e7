"""What no experiment needs is refused in one line before it costs anything."""

import os

import pytest

from core.run.errors import SpecError, UsageError
from core.run.spaces import MOST_ALTERNATIVES, expand_braces
from s3tui.listing.filters import parse_filter
from s3tui.suite.load import load
from s3tui.text.problems import ConfigError

HEAD = """
[suite]
name = "first"
[defaults]
model = "builtin:minilm"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
[experiment.a]
"""


@pytest.fixture
def problem(tmp_path):
    """The one problem of a suite, without the file's name."""

    def of(text):
        file = tmp_path / "s.toml"
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(file)
        (line,) = caught.value.problems
        assert "\n" not in line
        return line.removeprefix(f"{file}: ")

    return of


def axis(key, count):
    return f"{key} = {list(range(count))}"


@pytest.mark.parametrize("axes", [[1000, 1000], [10_000, 10_000, 10_000], [10_001]])
def test_a_matrix_is_counted_before_it_is_multiplied_out(problem, axes):
    keys = ("seed", "data_seed", "search.warmup_steps")
    matrix = ", ".join(axis(key, count) for key, count in zip(keys, axes, strict=False))
    told = problem(f"{HEAD}matrix = {{ {matrix} }}\n")
    assert (
        told == "experiment.a.matrix: multiplies out to more than 10,000 runs, which is the most that a suite may have"
    )


def test_the_runs_of_a_suite_are_counted_over_all_its_experiments(problem):
    matrix = f"matrix = {{ {axis('seed', 6000)} }}\n"
    told = problem(f"{HEAD}{matrix}[experiment.b]\n{matrix}")
    assert told == "experiment: these are more than 10,000 runs, the most that a suite may have"


def test_a_thousand_runs_are_planned(tmp_path):
    (tmp_path / "s.toml").write_text(f"{HEAD}matrix = {{ {axis('seed', 40)}, {axis('data_seed', 25)} }}\n")
    assert len(load(tmp_path / "s.toml").runs) == 1000


@pytest.mark.parametrize("pattern", ["{a,b}" * 30, "{" * 3000 + "a" + "}" * 3000, "{" * 3000])
def test_a_pattern_is_counted_before_its_braces_are_written_out(problem, pattern):
    told = problem(f'{HEAD}[space.mine]\n"{pattern}" = ["bitfit"]\n')
    assert "expands to too many others" in told or "is too long" in told


def test_braces_are_written_out_in_order_up_to_the_limit():
    assert expand_braces("a.{b,c{d,e}}") == ["a.b", "a.cd", "a.ce"]
    assert len(expand_braces("{0,1,2,3,4,5,6,7,8,9}" * 3)) == MOST_ALTERNATIVES
    with pytest.raises(SpecError, match="at most 1,000 patterns"):
        expand_braces("{0,1,2,3,4,5,6,7,8,9}" * 3 + "{a,b}")


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        (f"lora(rank={10**30})", "rank should be at most 65,536"),
        ("adapter(bottleneck=65537)", "bottleneck should be at most 65,536"),
        ("lora(rank=" + "[" * 3000, "may have at most 1,000 characters"),
    ],
)
def test_a_delta_has_bounds(problem, delta, says):
    assert says in problem(f'{HEAD}[space.mine]\n"attn.q" = ["{delta}"]\n')


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            f"seed = {2**70}",
            "experiment.a.seed: should be 9,223,372,036,854,775,807 or less, not 1180591",
        ),
        ("eval_batch_size = 10_000_000_000", "should be 1,000,000,000 or less"),
        ("search.max_steps = 10_000_000_000", "should be 1,000,000,000 or less"),
        ("retrain.learning_rate = 1e300", "should be 9,007,199,254,740,992 or less"),
        ("budget = 1e308", "should be 9,007,199,254,740,992 or less"),
        ("budget = inf", "should be a finite number, not inf"),
        ("seed = 1979-05-27", "should be a whole number, not 1979-05-27"),
        ('device = "cuda:99999"', "known: auto, cpu, cuda, cuda:N"),
        ('model = ""', "experiment.a.model: should be a text that is not empty"),
        ('task = { path = "", text = "a", label = "b" }', "should be a text that is not empty"),
        ("priority = 10_000_000_000", "should be a whole number of at most 1,000,000,000"),
        ("resources.gpus = 10_000_000_000", "should be a whole number of at most 1,000,000,000"),
        (f'resources.memory = "{"9" * 400}GB"', "experiment.a.resources.memory: should be at most 1,000TB"),
        (f'launcher.time = "{"9" * 30}:00:00"', "should be a time as Slurm writes it"),
        (f"seed = {'9' * 5000}", "a number has too many digits, or a date is none: line 10"),
        ("tags = " + "[" * 400 + "]" * 400, "tables and arrays are nested more than 20 deep"),
        ("tags = " + "[" * 40_000 + "]" * 40_000, "tables and arrays are nested more than 20 deep"),
        (".".join("a" * 1000) + " = 1", "tables and arrays are nested more than 20 deep"),
    ],
    ids=lambda value: value[:40],
)
def test_a_value_that_nothing_can_be_done_with_is_refused(problem, setting, says):
    assert says in problem(f"{HEAD}{setting}\n")


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "folder", "large.toml", "utf.toml", "nul.toml", "empty.toml"])
def test_a_file_that_is_no_suite_is_one_line(s3tui, tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large.toml").write_text("#" * 2**21)
    (tmp_path / "utf.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "nul.toml").write_bytes(b"a\0 = 1")
    (tmp_path / "empty.toml").touch()
    for command in (("validate", name), ("report", name, "-o", "r.md"), ("structure", "show", "x", "--in", name)):
        if (name == "folder" and command[0] != "validate") or (name == "empty.toml" and "--in" in command):
            continue  # a folder may well be a workspace, and a file without [suite] has its workspace beside it
        code, out, err = s3tui(*command)
        assert (code, out) == (2, "")
        assert err.startswith((f"{name}: ", f"s3tui: {name} is neither a folder nor a file"))
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("key", ["structure", "space"])
def test_json_that_is_nested_without_end_is_a_problem_of_its_key(problem, tmp_path, key):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert problem(f'{HEAD}{key} = "deep.json"\n').startswith(f"experiment.a.{key}: ")


@pytest.mark.parametrize("words", ["it's", "\\", 'a "b'])
def test_a_filter_that_is_torn_is_told(words):
    with pytest.raises(UsageError, match="is no filter: a quote is not closed"):
        parse_filter([words])


def test_an_optimising_python_is_not_the_fault_of_the_model(s3tui):
    code, out, err = s3tui("sites", "builtin:minilm", "--space", "bitfit", PYTHONOPTIMIZE="2")
    assert (code, err) == (0, "")
    assert "builtin:minilm: bert" in out
