"""Commands with arguments that nobody would give on purpose: an exit code of the table, one message, no traceback."""

import os
from pathlib import Path

import pytest
from fuzz.in_process import DOCUMENTED, command
from hostile import hostile
from hypothesis import example, given
from hypothesis import strategies as st

from core.run.rundir import RunDir, write_json
from core.run.selection import mean
from core.run.structure import Candidate, Structure

SPACE = tuple(Candidate("attn.q", "encoder", i, f"encoder.layer.{i}.q", "lora(rank=1)", 64) for i in range(4))
# Every command that starts no process and opens no app; what `N` stands for is an argument.
COMMANDS = [
    "init N", "validate N", "validate N --json", "results N", "results N --csv", "run N --dry-run",
    "run s.toml --only N --dry-run", "status --in N", "list N", "list N N", "list --sort N", "list --group N",
    "list --in N --csv", "show N", "path N", "logs N", "logs a --lines N", "events N", "stop N", "pause N",
    "resume N", "retry N", "cancel N", "priority N 1", "priority a N", "rm N --yes", "gc --in N", "mirror N --to N",
    "structure show N", "structure show a --like N", "structure diff N a", "structure mean N",
    "structure mean a --budget N", "structure mean a --selection N", "structure agreement N a",
    "structure random --like N", "structure random --like a --seed N", "structure reselect a --budget N",
    "structure convert N", "structure convert N --like a", "plot N", "plot a --kind N", "plot a --kind pareto -o N",
    "report -o N", "report N -o N", "export N -o runs", "export a -o x --to N",
    "sites builtin:minilm --space N.json", "N", "N N", "structure N", "--N",
]  # fmt: skip
WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), max_size=12),
    st.binary(max_size=8).map(lambda raw: os.fsdecode(raw.translate(None, b"\0/"))),
    st.sampled_from(
        [
            "", " ", "it's", "\\", '"', "'", "[", "]", "[!", "*", "**", "?", "{a,b}" * 20, "[" * 3000, "(" * 3000,
            "x" * 300, "x" * 5000, "a", "first/a", "s.toml", "pipe", "link", ".", "/dev/zero", "/dev/null",
            "/proc/self/mem", "deep.json",
            "s.toml/x", "missing/x.pdf", "missing/x.json", "missing/x.md", "-", "--", "-x", "--json",
            "--in", "score>", "score>nan", "score>1e999", "status:[", "-tag:", "nan", "inf", "-1", "0", "1e400", "0.5",
            str(10**30), "9" * 5000, "\x1b]52;c;x\x07", "\n", "\udcff", "\u202e", "name", "-name", "tags",
        ]
    ),
)  # fmt: skip


# No folder above the test's own: `gc` deletes what it finds there, and somebody else's runs may be among it.
WORDS = WORDS.filter(lambda word: word not in ("..", "~"))


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A workspace of one run that has chosen a structure, and files of every kind beside it."""
    path = tmp_path_factory.mktemp("commands")
    before = Path.cwd()
    os.chdir(path)
    Path("s.toml").write_text(
        '[suite]\nname = "first"\n[experiment.a]\nmodel = "m"\ntask = "icd10-chapter"\nspace = "lora"\nbudget = 100\n'
    )
    Path("deep.json").write_text("[" * 100_000)
    Path("link").symlink_to("link")
    os.mkfifo("pipe")
    yield path
    os.chdir(before)


def _run():
    """The run, which some of the commands may have deleted."""
    run = RunDir(Path("runs/first/a"))
    if not run.exists():
        run.create({"task": {"name": "t"}, "model": "m", "method": "s3", "seed": 0})
        write_json(run.structure, mean([Structure(SPACE, (0.9, 0.1, 0.2, 0.3), (), 130, "m")], 130).to_json())


def answers(arguments):
    """Whether a command ends as the table of exit codes says, and says why where it fails."""
    _run()
    code, out, err = command(*arguments)
    assert code in DOCUMENTED, (arguments, code, err)
    assert "Traceback" not in err
    assert "\x1b]52" not in out + err
    assert code == 0 or err, arguments
    return code


@hostile(250)
@given(st.sampled_from(COMMANDS), st.lists(WORDS, min_size=2, max_size=2))
@example("list N", ["it's", ""])
@example("list N", ["\\", ""])
@example("validate N", ["/dev/zero", ""])
@example("validate N", ["pipe", ""])
@example("list --in N --csv", ["pipe", ""])
@example("structure show N", ["deep.json", ""])
@example("sites builtin:minilm --space N.json", ["deep", ""])
@example("priority a N", [str(10**30), ""])
def test_any_arguments_end_in_an_exit_code_of_the_table(name, words):
    left = iter(words)
    answers([word.replace("N", next(left), 1) if "N" in word else word for word in name.split()])


@hostile(60)
@given(st.sampled_from(["list", "status", "results", "structure show", "plot", "gc"]), st.lists(WORDS, max_size=5))
def test_any_number_of_arguments_and_repeated_options_end_so_too(name, words):
    answers([*name.split(), *words, "--json", "--json", "--in", "runs", "--in", "runs"])


@pytest.mark.parametrize("word", ["it's", "\\", "[" * 3000, "score>1e999", "\udcff", "x" * 5000])
def test_a_filter_that_is_none_is_one_line(word):
    code, _, err = command("list", word)
    assert code in (0, 2)
    assert len(err.splitlines()) == 1  # the mistake, or how many runs there are
