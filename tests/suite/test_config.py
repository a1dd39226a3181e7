import os
from pathlib import Path

import pytest

from core.run.spec import RunSpec
from core.run.task_spec import FileTask
from s3tui.suite.load import load
from s3tui.text.problems import ConfigError

BASE = """
[suite]
name = "first"
[defaults]
model = "builtin:minilm"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
[defaults.search]
max_steps = 100
[defaults.retrain]
max_steps = 300
"""

MODEL = 'name one: "builtin:minilm", one on the hub, a folder, or a .gguf file'


def specs(suite):
    return {run.name: run.spec for run in suite.runs}


def test_an_experiment_starts_from_the_defaults_and_merges_training_tables_key_by_key(suite):
    planned = suite(BASE + "[experiment.a]\nseed = 3\n[experiment.a.search]\nbatch_size = 4\n")
    spec = specs(planned)["a"]
    assert (spec.seed, spec.search.max_steps, spec.search.batch_size, spec.retrain.max_steps) == (3, 100, 4, 300)


def test_a_length_in_epochs_replaces_the_length_in_steps_of_the_defaults(suite):
    spec = specs(suite(BASE + "[experiment.a]\nsearch = { epochs = 2 }\n"))["a"]
    assert (spec.search.epochs, spec.search.max_steps) == (2, None)


def test_the_design_example_is_read(suite, tmp_path):
    (tmp_path / "reviews.jsonl").touch()
    planned = suite(
        BASE + '[experiment.searched]\n[experiment.by-chance]\nmethod = "random"\nmatrix = { seed = [0, 1] }\n'
        "[experiment.reviews]\n"
        'task = { path = "reviews.jsonl", text = ["title", "body"], label = "stars" }\nspace = "small"\n'
        '[space.small]\n"attn.{q,v}" = ["lora(rank=1)", "bitfit"]\n"norm.*" = ["lnfit"]\n'
    )
    assert list(specs(planned)) == ["searched", "by-chance/seed=0", "by-chance/seed=1", "reviews"]
    reviews = specs(planned)["reviews"]
    assert isinstance(reviews.task, FileTask)
    assert reviews.space.name == "small"
    assert planned.directory(planned.runs[1]).path == tmp_path / "runs/first/by-chance/seed=0"


def test_a_matrix_multiplies_out_and_names_only_its_own_keys(suite):
    matrix = 'matrix = { seed = [0, 1], budget = [4e-4, 1_000], "search.learning_rate" = [1e-3] }'
    planned = suite(BASE + f"[experiment.a]\n{matrix}\n")
    assert list(specs(planned)) == [
        "a/seed=0,budget=0.0004,search.learning_rate=0.001",
        "a/seed=0,budget=1000,search.learning_rate=0.001",
        "a/seed=1,budget=0.0004,search.learning_rate=0.001",
        "a/seed=1,budget=1000,search.learning_rate=0.001",
    ]
    assert specs(planned)["a/seed=1,budget=1000,search.learning_rate=0.001"].search.learning_rate == 1e-3


def test_an_unquoted_dotted_key_of_a_matrix_is_the_same_key(suite):
    planned = suite(BASE + "[experiment.a]\nmatrix = { search.clip = [1.0, 2.0] }\n")
    assert list(specs(planned)) == ["a/search.clip=1.0", "a/search.clip=2.0"]


def test_values_of_a_matrix_are_safe_as_folder_names(suite):
    planned = suite(BASE + '[experiment.a]\nmatrix = { model = ["org/name one", "builtin:minilm"] }\n')
    assert list(specs(planned)) == ["a/model=org-name-one", "a/model=builtin-minilm"]


def test_values_that_would_share_a_folder_are_refused(problems):
    found = problems(BASE + '[experiment.a]\nmatrix = { model = ["a/b", "a:b"] }\n')
    assert found == ["experiment.a.matrix: values are alike or too long to name a folder: a/model=a-b"]


def test_paths_are_relative_to_the_file_wherever_it_is_read_from(suite, tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/data.jsonl").touch()
    (tmp_path / "sub/model").mkdir()
    (tmp_path / "sub/space.json").write_text('[{"SelfAttention.q": {"parallel": {"Lora": {"lora_r": 1}}}}]')
    monkeypatch.chdir("/")
    planned = suite(
        '[suite]\nname = "s"\nworkspace = "elsewhere/runs"\n'
        '[experiment.a]\nmodel = "sub/model"\nspace = "sub/space.json"\nbudget = 10\n'
        'task = { path = "sub/data.jsonl", text = "x", label = "y" }\n'
    )
    spec = specs(planned)["a"]
    assert planned.workspace == tmp_path / "elsewhere/runs"
    assert spec.model == str(tmp_path / "sub/model")
    assert spec.task.path == str(tmp_path / "sub/data.jsonl")
    assert spec.space.groups == ({"SelfAttention.q": ("lora(rank=1)",)},)


def test_the_root_of_named_tasks_is_relative_to_the_file_too(suite, tmp_path):
    (tmp_path / "glue").mkdir()
    planned = suite(BASE + '[experiment.a]\ntask = { name = "cola", data_root = "glue" }\n')
    assert specs(planned)["a"].task.data_root == str(tmp_path / "glue")


def test_a_model_that_is_no_folder_stays_a_name_of_the_hub(suite):
    assert specs(suite(BASE + '[experiment.a]\nmodel = "t5-small"\n'))["a"].model == "t5-small"


@pytest.mark.parametrize("place", ["defaults", "experiment"])
def test_explicit_keys_win_over_the_preset_whoever_gives_either(suite, place):
    line = 'preset = "paper"\n'
    head = BASE.replace("[defaults]\n", f"[defaults]\n{line}") if place == "defaults" else BASE
    own = "[experiment.a]\n" + (line if place == "experiment" else "")
    text = head.replace("max_steps = 100", "max_steps = 100\nclip_virtual = true") + own
    spec = specs(suite(text + '[experiment.a.search]\nvirtual_scaling = "exact"\n'))["a"]
    assert spec.adapter_init == "paper"
    assert (spec.search.shift_gradient, spec.search.shared_dropout) == ("paper", False)
    assert (spec.search.clip_virtual, spec.search.virtual_scaling) == (True, "exact")


def test_the_settings_survive_their_file(suite):
    spec = suite(BASE + "[experiment.a]\n").runs[0].spec
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


def test_name_workspace_and_threads_have_defaults(suite, tmp_path):
    planned = suite(BASE.replace('[suite]\nname = "first"\n', "") + "[experiment.a]\n")
    assert (planned.name, planned.workspace) == ("suite", tmp_path / "runs")
    assert 1 <= planned.runs[0].queue.resources.threads <= 4


A = "[experiment.a]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE, "experiment: there is no experiment; add one, as in [experiment.first]"),
        (BASE + A + "[defalts]\n", "defalts: unknown key, did you mean 'defaults'?"),
        (BASE + A + "sed = 1\n", "experiment.a.sed: unknown key, did you mean 'seed'?"),
        (
            BASE + "[experiment.searched]\nsearch = { learning_rte = 1 }\n",
            "experiment.searched.search.learning_rte: unknown key, did you mean 'learning_rate'?",
        ),
        (BASE + A + "seed = -1\n", "experiment.a.seed: should be 0 or more, not -1"),
        (BASE + A + "budget = 0\n", "experiment.a.budget: should be more than 0, not 0"),
        (BASE + A + "budget = nan\n", "experiment.a.budget: should be a finite number, not nan"),
        (
            BASE + A + "budget = 1.5\n",
            "experiment.a.budget: 1.5 will not do: a count of parameters is a whole number, a share is under 1",
        ),
        (BASE + A + 'seed = "1"\n', "experiment.a.seed: should be a whole number, not '1'"),
        (BASE + A + "seed = true\n", "experiment.a.seed: should be a whole number, not true"),
        (BASE + A + "model = 3\n", "experiment.a.model: should be a text in quotes, not 3"),
        (BASE + A + "search = 3\n", "experiment.a.search: should be a table"),
        (
            BASE + A + "search = { shared_dropout = 1 }\n",
            "experiment.a.search.shared_dropout: should be true or false, not 1",
        ),
        (BASE + A + 'method = "randm"\n', "experiment.a.method: unknown value 'randm', did you mean 'random'?"),
        (BASE + A + 'device = "gpu"\n', "experiment.a.device: 'gpu' will not do: known: auto, cpu, cuda, cuda:N"),
        (BASE + A + 'preset = "papr"\n', "experiment.a.preset: unknown preset 'papr', known: paper"),
        (
            BASE + A + "search = { max_steps = 1, epochs = 1 }\n",
            "experiment.a.search: give either max_steps or epochs",
        ),
        (
            BASE + A + 'task = "icd10-chaptr"\n',
            "experiment.a.task: unknown task 'icd10-chaptr', did you mean 'icd10-chapter'?",
        ),
        (
            BASE + A + 'task = { name = "superglue-bc" }\n',
            "experiment.a.task.name: unknown task 'superglue-bc', did you mean 'superglue-cb'?",
        ),
        (BASE + A + "task = 3\n", "experiment.a.task: should be the name of a task, or a table"),
        (BASE + A + 'space = "lra"\n', "experiment.a.space: unknown space 'lra', did you mean 'lora'?"),
        (BASE + A + "[space.lora]\n", "space.lora: the library has a space of this name"),
        (
            BASE + A + '[space.own]\n"E*.attn.w" = []\n',
            "space.own.\"E*.attn.w\": no site is called 'E*.attn.w': did you mean 'attn.v'?",
        ),
        (
            BASE + A + '[space.own]\nhead = ["lorra"]\n',
            "space.own.head: unknown delta 'lorra': did you mean 'lora'?",
        ),
        (
            BASE + A + '[space.own]\nhead = "lora"\n',
            'space.own.head: should be a list of deltas, as in ["lora(rank=1)"]',
        ),
        (BASE + A + "matrix = 3\n", "experiment.a.matrix: should be a table of lists, as in { seed = [0, 1] }"),
        (BASE + A + "matrix = { sed = [1] }\n", "experiment.a.matrix.sed: unknown key, did you mean 'seed'?"),
        (
            BASE + A + "matrix = { seed = 1 }\n",
            "experiment.a.matrix.seed: should be a list of one or more values",
        ),
        (BASE + A + "matrix = { seed = [0, -1] }\n", "experiment.a.matrix.seed: should be 0 or more, not -1"),
        (BASE + "[experiment]\na = 1\n", "experiment.a: should be a table"),
        (BASE + A + "[experiment.b]\n", "experiment.b: b is the same run as a"),
        (BASE.replace("100", "0") + A, "defaults.search.max_steps: should be 1 or more, not 0"),
        (BASE.replace('model = "builtin:minilm"\n', "") + A, "defaults.model: missing; " + MODEL),
        (
            BASE.replace("budget = 4e-4\n", "") + A + 'method = "s3"\n',
            "experiment.a: method 's3' needs a budget, as in budget = 4e-4",
        ),
        (BASE.replace("[suite]", "[suite]\nthreads = 0") + A, "suite.threads: should be a whole number of 1 or more"),
    ],
)
def test_each_problem_is_told_with_its_key_and_in_plain_words(problems, text, message):
    assert problems(text) == [message]


@pytest.mark.parametrize("name", ["..", "a..b", ".a", "a b", "a/b", "/a", "", "ä", "x" * 201])
def test_no_name_leaves_the_workspace(problems, name):
    (of_suite,) = problems(BASE.replace('"first"', f'"{name}"') + A)
    assert of_suite.startswith("suite.name: ")
    (of_experiment,) = problems(BASE + f'[experiment."{name}"]\n')
    assert "cannot name a folder" in of_experiment


def test_files_that_are_not_there_are_told(problems, tmp_path):
    found = problems(
        BASE + '[experiment.a]\nmodel = "./m"\nspace = "s.json"\ntask = { path = "t.csv", text = "x", label = "y" }\n'
    )
    assert sorted(found) == [
        f"experiment.a.model: there is no folder '{tmp_path}/m'",
        f"experiment.a.space: there is no file '{tmp_path}/s.json'",
        f"experiment.a.task.path: there is no file or folder {tmp_path}/t.csv",
    ]
    (root,) = problems(BASE + A + 'task = { name = "cola", data_root = "glue" }\n')
    assert root == f"experiment.a.task.data_root: there is no folder '{tmp_path}/glue'"


def test_data_that_have_no_end_are_refused_before_a_worker_waits_for_them(problems, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path, kind in ((tmp_path / "pipe.csv", "a named pipe"), ("/dev/zero", "a device")):
        found = problems(BASE + A + f'task = {{ path = "{path}", text = "x", label = "y" }}\n')
        assert found == [f"experiment.a.task.path: {path} is {kind}, not a regular file"]


@pytest.mark.parametrize("path", ["./a\\u0000b", "~nobody-of-this-name/x", "./" + "x" * 300])
@pytest.mark.parametrize("key", ["experiment.a.model", "experiment.a.space", "experiment.a.task", "suite.workspace"])
def test_what_cannot_be_a_path_is_a_problem_of_its_key(problems, key, path):
    values = {
        "experiment.a.model": f'model = "{path}"',
        "experiment.a.space": f'space = "{path}.json"',
        "experiment.a.task": f'task = {{ path = "{path}", text = "x", label = "y" }}',
        "suite.workspace": "",
    }
    head = BASE.replace("[suite]", f'[suite]\nworkspace = "{path}"') if key == "suite.workspace" else BASE
    (found,) = problems(f"{head}{A}{values[key]}\n")
    assert found.startswith(f"{key}: ")
    assert "cannot be a path: " in found


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '[{"a": NaN}]', "9" * 5_000])
def test_a_structure_file_that_is_no_json_is_a_problem(problems, tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    (found,) = problems(BASE + '[experiment.a]\nspace = "s.json"\n')
    assert found.startswith(f"experiment.a.space: {tmp_path}/s.json cannot be read: ")


@pytest.mark.parametrize("content", ["3", '[{"a": 3}]', '[{"a": {"parallel": {"Lora": 3}}}]'])
def test_a_structure_file_of_another_form_is_a_problem(problems, tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    (found,) = problems(BASE + '[experiment.a]\nspace = "s.json"\n')
    assert found.startswith("experiment.a.space: ")
    assert "not a structure file of the original" in found


def test_every_problem_is_reported_at_once_and_those_of_the_defaults_once(problems):
    text = """
    [suite]
    name = "../x"
    [defaults]
    task = "icd10-chapter"
    space = "mix-low-rank"
    budget = -1
    [defaults.search]
    max_steps = 100
    epochs = 3
    learning_rte = 3e-3
    [experiment.one]
    method = "randm"
    [experiment.one.search]
    clip = -1
    [experiment.two]
    matrix = { seed = [0, 1], "search.gates" = ["softt"] }
    [space.own]
    "E*.attn.{q,w}" = ["bitfitt", "lora(rnk=1)"]
    """
    found = problems(text)
    assert len(found) == len(set(found))
    assert {line.partition(": ")[0] for line in found} == {
        "suite.name",
        "defaults.model",
        "defaults.budget",
        "defaults.search",
        "defaults.search.learning_rte",
        "experiment.one.method",
        "experiment.one.search.clip",
        'experiment.two.matrix."search.gates"',
        'space.own."E*.attn.{q,w}"',
    }
    assert sum(line.startswith('space.own."E*.attn.{q,w}"') for line in found) == 3


def test_a_check_of_the_whole_run_is_not_hidden_by_a_wrong_value(problems):
    found = problems(BASE.replace("budget = 4e-4\n", "") + A + 'method = "s3"\nseed = -1\n')
    assert found == [
        "experiment.a.seed: should be 0 or more, not -1",
        "experiment.a: method 's3' needs a budget, as in budget = 4e-4",
    ]


def test_broken_toml_is_told_with_line_and_column(problems):
    assert problems("[suite]\nname = first\n") == ["line 2, column 8: Invalid value"]
    (at_the_end,) = problems('[suite]\nname = "first')
    assert at_the_end.startswith("line 2, column ")


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file"):
        load(tmp_path / "no.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def test_the_starter_is_sound():
    import s3tui

    planned = load(Path(s3tui.__file__).with_name("starter.toml"))
    assert list(specs(planned)) == ["searched", "by-chance/seed=0", "by-chance/seed=1"]
