"""Whatever stands in a file, no command lets it reach the terminal as anything but text."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from every_command import every_command
from evil import EVIL, IN_JSON, NAME, Evil, controls_of, slurm
from processes import DEADLINE, STAND_IN, nothing_left
from safety.call_each import MARK
from terminals import at_a_terminal

from core.run.rundir import write_json

HERE = Path(__file__).parent
TOML_TEXT = json.dumps(EVIL)
KINDS = ("structure", "gates", "loss", "budget", "pareto", "transfer")
# What Rich's bars do to a terminal: hide and show the cursor, go up, and clear the line.
BARS = re.compile("\r|\x1b\\[(?:\\?25[hl]|1A|2K)")


def with_in(evil, commands):
    return [[*command, "--in", str(evil.workspace.path)] for command in commands]


def of_a_run(name):
    """The commands about one run that change nothing."""
    for words in (("show",), ("path",), ("logs",), ("events",), ("structure", "show"), ("structure", "convert")):
        yield (*words, name)
        yield (*words, name, "--json")


def of_the_workspace(evil):
    """Those about all runs, which change nothing either."""
    yield from (("status",), ("status", "--json"), ("list",), ("list", "--json"), ("list", "--csv"), ("list", EVIL))
    yield from (("list", f"{EVIL}:x"), ("list", "--sort", EVIL), ("list", "--group", EVIL))
    yield from (("list", "--group", key, *more) for key in ("task", "model", "device") for more in ((), ("--csv",)))
    yield from (("show", EVIL), ("structure", "show", EVIL), ("plot", EVIL), ("plot", "*", "--kind", EVIL))
    yield from (("plot", evil.finished, evil.failed, "--kind", kind) for kind in KINDS)
    both = (evil.finished, evil.failed)
    for words in (("diff", *both), ("agreement", *both), ("mean", *both), ("random", "--like", evil.finished),
                  ("reselect", evil.failed, "--budget", "60")):  # fmt: skip
        yield ("structure", *words)
        yield ("structure", *words, "--json")


def of_files(evil, folder):
    """Commands on files and folders."""
    suite, wrong, torn = (str(folder / f"{kind}-{NAME}.toml") for kind in ("right", "wrong", "torn"))
    for path in (str(evil.workspace.path), suite):
        yield from (["results", path], ["results", path, "--json"], ["results", path, "--csv"])
        yield ["report", path, "-o", f"{path}.txt"]
        yield ["report", path, "-o", f"{path}/{EVIL}/report.md"]
    yield ["report", str(evil.workspace.path), "-o", str(folder / f"report{NAME}.md")]
    yield from (["plot", evil.finished, "-o", f"{folder}/{NAME}.pdf", "--in", str(evil.workspace.path)] for _ in "12")
    for file in (suite, wrong, torn):
        yield from (
            ["validate", file],
            ["validate", file, "--json"],
            ["run", file, "--dry-run"],
            ["status", "--in", file],
        )
        yield ["run", file, "--dry-run", "--only", EVIL]
    data = str(folder / f"data-{NAME}.csv")
    yield from (["race", "data", data, "--label", EVIL, "--suite", f"{folder}/race-{NAME}.toml"], ["race", EVIL])
    yield from (["race", "show", EVIL, *more, "--in", str(evil.workspace.path)] for more in ([], ["--json"]))
    yield from (["init", wrong], ["init", str(folder / f"new-{NAME}.toml")], ["doctor"], ["doctor", "--json"])
    yield from (["sites", f"./{NAME}", "--space", EVIL], ["sites", "m", "--space", wrong], ["open", f"{folder}/{EVIL}"])
    yield ["serve", f"{folder}/{EVIL}"]
    yield ["attach", "--in", str(folder / f"over-{NAME}")]
    structure = str(folder / f"structure-{NAME}.json")
    yield from (["structure", "show", structure], ["structure", "show", structure, "--like", structure])
    yield ["structure", "mean", structure, "-o", structure]
    yield from (["export", run, "-o", folder.name, "--to", to] for run, to in ((evil.finished, EVIL), (EVIL, "peft")))
    yield from ([EVIL], ["structure", EVIL], ["list", f"--{EVIL}"], ["logs", "x", "-n", EVIL])


def that_change_runs(evil):
    """The rest, in the order in which as much as possible is there to be told of."""
    yield ("mirror", "*", "--to", EVIL)
    for action in ("stop", "pause", "resume", "retry", "cancel"):
        yield from ((action, "*"), (action, evil.finished), (action, EVIL), (action, "*", "--json"))
    yield from (
        ("priority", "*", "3"),
        ("priority", evil.waits, "3"),
        ("pause",),
        ("resume",),
        ("resume", evil.in_slurm),
    )
    for words in (("drop", EVIL, "0"), ("keep", EVIL, EVIL), ("add", EVIL, "1"), ("end", EVIL, "--yes")):
        yield ("race", *words)
    yield ("rm", "*")
    yield from (("rm", "*", "--yes"), ("gc",), ("gc", "--json"))


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    made = Evil(tmp_path_factory.mktemp("evil"))
    with nothing_left(made.workspace.path):
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory, evil):
    """Suites, data and a structure, all of them with such texts in them and in their names."""
    path = tmp_path_factory.mktemp("files")
    (path / f"data-{NAME}.csv").write_text(f'"text{EVIL}",label\n' + f'"{EVIL}",good\n"x",bad\n' * 10, newline="")
    structure = evil.workspace.run(evil.finished).structure
    (path / f"structure-{NAME}.json").write_bytes(structure.read_bytes())
    task = f'{{ path = {json.dumps(f"data-{NAME}.csv")}, text = {json.dumps(f"text{EVIL}")}, label = "label" }}'
    suite = f'[suite]\nname = "first"\nworkspace = {json.dumps(str(evil.workspace.path))}\n[defaults]\n'
    right = f'model = {TOML_TEXT}\nbudget = 100\nspace = "lora"\ntask = {task}\n[experiment.a]\n'
    keys = ("task", "space", "method", "budget", "seed", "search", TOML_TEXT)
    tables = (f"experiment.{TOML_TEXT}", TOML_TEXT, f"space.{TOML_TEXT}")
    wrong = [*(f"{key} = {TOML_TEXT}" for key in keys), *(f"[{table}]" for table in tables)]
    (path / f"right-{NAME}.toml").write_text(suite + right)
    (path / f"wrong-{NAME}.toml").write_text(suite + "\n".join(wrong))
    (path / f"torn-{NAME}.toml").write_text(f"[suite]\nname = {EVIL}\n")
    for name in (evil.finished, evil.failed):  # nothing more comes of them, so that whoever attaches is let go
        shutil.copytree(evil.workspace.run(name).path, path / f"over-{NAME}" / name)
    (path / f"over-{NAME}" / ".s3tui").mkdir()
    write_json(evil.workspace.shared / "waiting.json", {evil.waits: IN_JSON})
    return path


@pytest.fixture(scope="module")
def surroundings(folder):
    """A terminal that shows everything, a Slurm that says anything, and no hub."""
    return os.environ | {
        "PYTHONPATH": str(HERE.parent), "PATH": slurm(folder / "bin"), "HF_HUB_OFFLINE": "1", "TERM": "xterm-256color",
        "COLORTERM": "truecolor", "CUDA_VISIBLE_DEVICES": EVIL,
    }  # fmt: skip


@pytest.fixture(scope="module")
def answers(evil, folder, surroundings):
    """What each command wrote on its terminal, and how it ended."""
    looking = [command for name in evil.names for command in of_a_run(name)] + [*of_the_workspace(evil)]
    commands = [*with_in(evil, looking), *of_files(evil, folder), *with_in(evil, that_change_runs(evil))]
    file = folder / "commands.json"
    file.write_text(json.dumps(commands))
    caller = [sys.executable, str(HERE / "call_each.py"), str(file)]
    code, written = at_a_terminal(caller, DEADLINE, b"n\n" * 4, env=surroundings, cwd=folder)  # a no to each question
    assert code == 0, written
    *each, rest = re.split(f"\n{MARK} \\d+ (.*)\n", written.decode())
    assert not rest
    return list(zip(commands, each[1::2], each[::2], strict=True))


def test_every_command_is_called(answers):
    called = {tuple(words[:length]) for words, _, _ in answers for length in (1, 2)}
    assert {words for words, _ in every_command()} <= called


def test_no_command_lets_a_text_control_the_terminal(answers):
    for words, code, text in answers:
        assert code in ("0", "1", "2"), (words, code)
        found = controls_of(BARS.sub("", text) if words[0] == "attach" else text)
        assert not found, (words, found, text)


def test_the_texts_are_shown_with_a_mark_for_each_control(answers):
    shown = (["show"], ["list", "--in"], ["list", "--csv"])
    done = [(words, text) for words, code, text in answers if code == "0"]
    looking = [(words, text) for words, text in done if words[:1] in shown or words[:2] in shown]
    looking = [(words, text) for words, text in looking if "--json" not in words]
    assert len(looking) > 8
    for words, text in looking:
        assert "\ufffd" in text or "\\x1b" in text, words  # in a message it is quoted


def test_no_text_of_a_run_under_way_controls_the_terminal(tmp_path, surroundings):
    file = tmp_path / f"suite-{NAME}.toml"
    file.write_text(
        f'[suite]\nname = "first"\nworkspace = {json.dumps(NAME)}\n[defaults]\nmodel = {json.dumps(f"says {EVIL}")}\n'
        'budget = 100\ntask = "icd10-chapter"\nspace = "lora"\n[experiment.a]\n'
    )
    with nothing_left(tmp_path / NAME):
        code, written = at_a_terminal([*STAND_IN, "drive", str(file)], DEADLINE, env=surroundings)
    text = BARS.sub("", written.decode())
    assert not controls_of(text), text
    assert (code, "\ufffd" in text) == (1, True), text


def test_not_even_an_encoding_without_such_characters_lets_them_through(surroundings):
    command = [sys.executable, "-m", "s3tui", EVIL]
    code, written = at_a_terminal(command, DEADLINE, env=surroundings | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (code, controls_of(written.decode("ascii"))) == (2, [])
