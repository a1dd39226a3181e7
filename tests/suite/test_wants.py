"""What a suite asks of the manager: resources, priority, tags."""

import pytest

from s3tui.suite.load import load
from s3tui.text.problems import ConfigError

HEAD = """
[suite]
name = "first"
{suite}
[defaults]
model = "builtin:minilm"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
{defaults}
[experiment.a]
{experiment}
"""


@pytest.fixture
def planned(tmp_path):
    def read(suite="", defaults="", experiment=""):
        file = tmp_path / "suite.toml"
        file.write_text(HEAD.format(suite=suite, defaults=defaults, experiment=experiment))
        return load(file).runs[0]

    return read


def test_resources_priority_and_tags_start_from_the_defaults(planned):
    run = planned(
        "threads = 2\nretries = 5\nper_gpu = 3\nuse_busy_gpus = true",
        'resources = { gpus = 1, memory = "20GB" }\npriority = 2\ntags = ["pilot"]',
        'resources.memory = "1.5 GiB"\ndevice = "cuda"',
    )
    queue, asked = run.queue, run.queue.resources
    assert (asked.gpus, asked.memory) == (1, 3 * 2**29)
    assert (asked.threads, asked.per_gpu, asked.use_busy_gpus) == (2, 3, True)
    assert (queue.priority, queue.tags, queue.retries, queue.device) == (2, ("pilot",), 5, "cuda")


def test_they_do_not_define_the_run(planned):
    assert planned().spec == planned("", "priority = 3", 'tags = "x"\nresources = { gpus = 0 }').spec


@pytest.mark.parametrize(
    ("where", "text", "problem"),
    [
        ("suite", "retries = -1", "suite.retries: should be a whole number of 0 or more"),
        ("suite", "per_gpu = 0", "suite.per_gpu: should be a whole number of 1 or more"),
        ("suite", 'use_busy_gpus = "yes"', "suite.use_busy_gpus: should be true or false"),
        ("defaults", "resources = 3", "defaults.resources: should be a table"),
        ("defaults", "priority = 1.5", "defaults.priority: should be a whole number"),
        ("experiment", "resources = { gpu = 1 }", "experiment.a.resources.gpu: unknown key, did you mean 'gpus'?"),
        (
            "experiment",
            'resources.gpus = 2\ndevice = "cuda:1"',
            "experiment.a.resources.gpus: 2 GPUs need device",
        ),
        ("experiment", 'resources = { memory = "lots" }', "experiment.a.resources.memory: should be a size in quotes"),
        ("experiment", "tags = [3]", "experiment.a.tags: should be a list of words"),
        ("experiment", "matrix = { priority = [1] }", "experiment.a.matrix.priority: unknown key"),
    ],
)
def test_each_problem_is_told_once_with_its_key(planned, tmp_path, where, text, problem):
    with pytest.raises(ConfigError) as caught:
        planned(**{where: text})
    (line,) = caught.value.problems
    assert line.startswith(f"{tmp_path / 'suite.toml'}: {problem}")
