"""Suites that are broken in every way we know: `validate` always answers, in lines that name the file."""

import contextlib
import os
from pathlib import Path

import pytest
from fuzz.in_process import command
from hostile import LONG, hostile
from hypothesis import example, given
from hypothesis import strategies as st

from s3tui.launchers.slurm.settings import SlurmSettings
from s3tui.suite import queue_settings
from s3tui.suite.beforehand import Beforehand
from s3tui.suite.validate import TABLES

ROOT = Path(__file__).parents[2]
SUITES = [path.read_text() for path in (*sorted((ROOT / "suites").glob("*.toml")), ROOT / "experiments.toml")]
HEAD = """
[suite]
name = "first"
[defaults]
model = "builtin:minilm"
task = "icd10-chapter"
space = "mix-low-rank"
budget = 4e-4
"""


@pytest.fixture(scope="module", autouse=True)
def unseen():
    """Models and data are not looked at, which takes seconds for each suite; they have campaigns of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3tui.suite.beforehand.examine", lambda runs: Beforehand((), (), (), (), ()))
        patch.setattr("s3tui.suite.beforehand.problems_of_data", lambda runs: [])
        yield


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Where the file stands. A cluster of this machine is not asked."""
    path = tmp_path_factory.mktemp("toml")
    before = os.environ["PATH"]
    os.environ["PATH"] = str(path)
    with contextlib.chdir(path) if hasattr(contextlib, "chdir") else _chdir(path):
        yield path
    os.environ["PATH"] = before


@contextlib.contextmanager
def _chdir(path):
    before = Path.cwd()
    os.chdir(path)
    yield
    os.chdir(before)


def holds(content):
    """Whether `validate` answers as it should to a file of this content; gives the exit code."""
    Path("s.toml").write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    code, out, err = command("validate", "s.toml")
    assert code in (0, 2)
    assert bool(out) == (code == 0)
    if code == 0:
        assert err == "next: s3tui run s.toml\n"
        return code
    # Where a suite is sound in itself but wants a cluster, it is the machine that lacks one.
    begins = ("s.toml: ", "s3tui: launcher: there is no Slurm")
    assert all(line.startswith(begins) for line in err.splitlines()), err
    assert err
    assert "ydantic" not in err
    assert "Input should" not in err
    return code


def written(value):
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{k}" = {written(v)}' for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Literal):
        return value
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in value) + '"'
    return repr(value)


class Literal(str):
    """TOML as it stands."""


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        [
            "", " ", "none", "auto", "\0", "../..", "~nobody-here", "/dev/zero", "/", "x" * 5000, "s.toml", "a.json",
            "run:", "run:a", "run:/", "run:../..", "lora(rank=1", f"lora(rank={10**40})", "{a,b}" * 30, "[" * 3000,
            "{" * 500 + "}" * 500, "999999999GB", f"{10**400}TB", "1:00:00", f"{10**30}-00", f"cuda:{10**50}",
            "\u0661GB", "\x1b[31m", "*" * 100,
        ]
    ),
)  # fmt: skip
SCALARS = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30, 10**400]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(
        [
            Literal(text)
            for text in ("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "1e400", "0x" + "f" * 300, "-0.0")
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "name", "path", "seed"]), inner, max_size=2)
    ),
    max_leaves=5,
)

RUN_KEYS = [
    *(".".join((*map(str, loc[:1]), key)) for loc, table in TABLES.items() for key in table.model_fields),
    *queue_settings.KEYS, "preset", "structure", "matrix", "resources.gpus", "resources.memory", "launcher", "unknown",
    *(f"matrix.{key}" for key in ("seed", "budget", "model", "task", "search", "search.epochs", "structure", "x.y.z")),
    *(f"launcher.{key}" for key in ("kind", *SlurmSettings.model_fields)),
    "launcher.sbatch.mail-type", "launcher.sbatch.mem",
]  # fmt: skip
PLACES = [
    *(f"experiment.a.{key}" for key in RUN_KEYS),
    *(f"defaults.{key}" for key in RUN_KEYS),
    *(f"suite.{key}" for key in queue_settings.SuiteSettings.model_fields),
    *(
        "experiment",
        "experiment.a",
        "defaults",
        "suite",
        "launcher",
        "space",
        "space.mine",
        'space.mine."attn.q"',
        "other",
    ),
]


def with_value(place, value):
    """A suite in which `place` has this value, whatever stood there before."""
    return f"{place} = {written(value)}\n{_without(place)}"


def _without(place):
    """The suite in tables written with dots, so that any key of it can be given before."""
    lines = [
        'suite.name = "first"', 'defaults.model = "builtin:minilm"', 'defaults.task = "icd10-chapter"',
        'defaults.space = "mix-low-rank"', "defaults.budget = 4e-4", "experiment.a.seed = 1",
    ]  # fmt: skip
    return "\n".join(line for line in lines if not _collide(line.split(" =")[0], place)) + "\n"


def _collide(one, other):
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


@hostile(150)
@given(st.sampled_from(PLACES), VALUES)
@example("experiment.a.seed", 2**70)
@example("experiment.a.model", "")
@example("experiment.a.resources.memory", "9" * 400 + "GB")
@example("experiment.a.device", "cuda:99999999999")
@example("experiment.a.task.max_length", 10**400)
def test_any_value_at_any_key_is_taken_or_refused_by_its_key(place, value):
    holds(with_value(place, value))


KINDS = ["x", "", 3, -1, 10**30, 1e300, float("nan"), True, [], [1], [[]], {}, {"a": 1}, Literal("1979-05-27")]


def test_values_of_every_kind_at_every_key_are_taken_or_refused():
    answers = set()
    for number, place in enumerate(PLACES):
        for value in KINDS if LONG else KINDS[number % 9 :: 9]:
            answers.add(holds(with_value(place, value)))
    assert answers == {0, 2}


@st.composite
def mutated(draw):
    """One of our suites with some of its text taken out, doubled, or replaced."""
    text = draw(st.sampled_from(SUITES))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 40)))
        new = draw(
            st.sampled_from(
                ["", '"', "[", "]", "{", "}", "=", "\n", ".", "'''", "#", "-", "9" * 20, "\0", "\r", "\ud800"]
            )
            | st.just(text[begin:end] * 2)
            | SCALARS.map(written)
        )
        text = text[:begin] + new + text[end:]
    return text


@hostile(60)
@given(mutated())
def test_a_suite_with_broken_text_is_taken_or_refused_line_by_line(text):
    holds(text)


@hostile(30)
@given(st.binary(max_size=60), st.sampled_from(SUITES), st.integers(0, 3000))
@example(b"\xff\xfe", SUITES[0], 0)
@example(b"\0", SUITES[0], 10)
def test_bytes_that_are_no_text_are_refused(noise, text, at):
    content = text.encode()
    holds(content[:at] + noise + content[at:])


@hostile(60)
@given(st.text("{},ab*[]?! .ED01attnqvffnin", max_size=60), st.text("lora(rnk=1,2[]'\"-) ", max_size=40))
def test_any_pattern_and_any_delta_is_taken_or_refused(pattern, delta):
    holds(f"{HEAD}[experiment.a]\nspace = 'mine'\n[space.mine]\n{written(pattern)} = [{written(delta)}, 'bitfit']\n")
