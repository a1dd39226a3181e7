"""Whatever the files of a run hold, no command and no screen gives a terminal anything to obey."""

import contextlib
import json
import os
import re
import sys
import threading

import pytest
from every_command import call, every_command, needed, options_of
from hostile_texts import HOSTILE, NAMES, Hostile, leaves, with_text

from s3tui.cli.commands.plot import KINDS
from s3tui.runs.workspace import read_run
from s3tui.system.file_locks import try_lock
from s3tui.tui.screens.run import Run

ELSEWHERE = {"init", "open", "run", "attach", "doctor", "sites", "mirror", "export", "results", "report", "validate"}
LAST = ("stop", "pause", "resume", "retry", "priority", "cancel", "gc", "rm")  # what changes runs
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@contextlib.contextmanager
def terminal(monkeypatch):
    """stdout and stderr are a terminal; gives a function that ends it and tells all that was written to it."""
    ours, theirs = os.openpty()
    chunks = []

    def read():
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 65536):
                chunks.append(chunk)

    thread = threading.Thread(target=read)
    thread.start()
    stream = os.fdopen(theirs, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)

    def end():
        stream.close()
        thread.join()
        return b"".join(chunks).decode().replace("\r\n", "\n")

    try:
        yield end
    finally:
        monkeypatch.undo()
        if not stream.closed:
            end()
        os.close(ours)


def dangers(text):
    """What is left in a text that a terminal obeys, but for colours; and of these those that are not ours."""
    return [*CONTROL.findall(COLOUR.sub("", text)), *re.findall(r"\x1b\[8m", text)]


@pytest.fixture
def hostile(script, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PATH", "/nowhere")  # Slurm is asked of a run that is in its hands
    return Hostile(script)


def shown(monkeypatch, *calls):
    """What a terminal gets of some commands, the last of which decides nothing about the others."""
    with terminal(monkeypatch) as end:
        codes = [call(*words) for words in calls]
        text = end()
    return text, codes


def tables_of(where):
    """The commands that look at all runs, in each of their forms."""
    for words, command in every_command():
        if words in {("list",), ("status",), ("results",)}:
            place = ["--in", where] if "--in" in options_of(command) else [where]
            for form in ([], ["--json"], ["--csv"]):
                if set(form) <= options_of(command):
                    yield [*words, *form, *place]


def test_each_text_of_each_file_is_harmless_on_a_terminal(hostile, monkeypatch):
    names = [m for name in hostile.plain() for m in hostile.mutated(name)]
    assert len(names) > 300
    where = str(hostile.workspace.path)
    calls = list(tables_of(where))
    for name in names:
        calls += [[word, name, "--in", where] for word in ("show", "events", "logs")]
    calls += [["structure", "show", name, "--in", where] for name in names if "finished" in name]
    text, _ = shown(monkeypatch, *calls)
    assert text.count("mutated/") > len(names)
    assert "]52;c;aGk=" in text, "it is shown, as text"
    assert dangers(text) == []


def worst(hostile):
    """A run in each state with all its texts hostile, under hostile names too."""
    names = []
    for number, name in enumerate(hostile.plain()):
        names.append(hostile.worst(name, f"worst/{NAMES[number % len(NAMES)]}{number}"))
        assert read_run(hostile.workspace.run(name), name).status.name == (
            read_run(hostile.workspace.run(names[-1]), names[-1]).status.name
        )
    hostile.workspace.waiting.write_text(json.dumps(dict.fromkeys(names, HOSTILE)))
    return names


def forms_of(command):
    yield []
    yield from ([flag] for flag in ("--json", "--csv") if flag in options_of(command))


def test_every_command_is_harmless_on_a_terminal(hostile, monkeypatch, tmp_path):
    names, where = worst(hostile), str(hostile.workspace.path)
    lock = try_lock(hostile.workspace.lock)
    os.write(lock, json.dumps({"pid": 1, "host": HOSTILE, "since": 1.0}).encode())
    calls = list(tables_of(where))
    calls += [["list", "--group", key, "--in", where] for key in ("task", "method", "model", "search.temperature")]
    calls += [["plot", name, "--kind", kind, "--in", where] for kind in KINDS for name in ("worst/*", names[0])]
    commands = sorted(every_command(), key=lambda one: one[0][0] in LAST)
    for words, command in commands:
        if words[0] not in ELSEWHERE:
            for name in names:
                given = needed(command, run=name, runs=name, which=name, a=name, b=names[0])
                calls += [[*words, *form, *given, "--in", where] for form in forms_of(command)]
    text, codes = shown(monkeypatch, *calls)
    os.close(lock)
    assert dangers(text) == []
    assert set(codes) <= {0, 1, 2}
    assert "Traceback" not in text


SUITE = {
    "suite": {"name": "first", "workspace": "runs", "tags": ["a"], "log_to": ["mlflow"]},
    "defaults": {"model": "m", "task": "icd10-chapter", "space": "own", "budget": 0.1, "device": "cpu"},
    "space": {"own": {"attn.q": ["lora(rank=1)"]}},
    "launcher": {"kind": "slurm", "partition": "p", "setup": ["true"]},
    "experiment": {"x": {"method": "s3", "tags": ["b"], "search": {"optimizer": "adamw"}}},
}


def as_toml(data, path=()):
    """Tables of texts as TOML."""
    plain = {key: value for key, value in data.items() if not isinstance(value, dict)}
    lines = ["[" + ".".join(map(json.dumps, path)) + "]"] if path else []
    lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in plain.items()]
    return (
        "\n".join(lines)
        + "\n"
        + "".join(as_toml(value, (*path, key)) for key, value in data.items() if isinstance(value, dict))
    )


def test_what_is_said_of_a_suite_is_harmless(tmp_path, monkeypatch):
    text = HOSTILE.replace("\ud800", "")
    calls = []
    for number, place in enumerate(leaves(SUITE)):
        file = tmp_path / f"{number}.toml"
        file.write_text(as_toml(with_text(SUITE, place, text)))
        calls += [["validate", str(file)], ["validate", str(file), "--json"], ["run", str(file), "--dry-run"]]
        calls += [["status", "--in", str(file)]]
    text, codes = shown(monkeypatch, *calls)
    assert len(codes) > 40
    assert dangers(text) == []
    assert "Traceback" not in text


def test_files_get_what_is_there_to_the_byte(hostile, monkeypatch, capfd):
    (name, *_) = worst(hostile)
    where = str(hostile.workspace.path)
    assert call("path", name, "--in", where) == 0
    assert os.fsencode(capfd.readouterr().out) == os.fsencode(f"{hostile.workspace.run(name).path}\n")
    assert call("list", "--csv", "--in", where) == 0
    assert "\x1b]52;c;aGk=\x07" in capfd.readouterr().out


@pytest.mark.parametrize("form", ["html", "md"])
def test_a_report_is_harmless(hostile, tmp_path, monkeypatch, form):
    worst(hostile)
    text, codes = shown(monkeypatch, ["report", str(hostile.workspace.path), "-o", str(tmp_path / f"out.{form}")])
    assert (codes, dangers(text)) == ([0], [])
    written = (tmp_path / f"out.{form}").read_bytes().decode()
    assert dangers(written) == []
    assert "<script" not in re.sub(r"\\.", "", written)


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_any_names_are_drawn(hostile, tmp_path, monkeypatch, kind, form):
    names = [hostile.worst("plain/finished", f"worst/{name}") for name in NAMES] if hostile.plain() else []
    file = tmp_path / f"out.{form}"
    calls = [["plot", "worst/*", "--kind", kind, "-o", str(file), "--in", str(hostile.workspace.path)]]
    text, codes = shown(monkeypatch, *calls)
    assert dangers(text) == []
    assert len(names) == len(NAMES)
    assert codes == [2 if kind == "transfer" else 0], text
    if form == "svg" and kind != "transfer":
        assert dangers(file.read_text()) == []


def controls_of(driver):
    return dangers("\n".join(s.text for strip in driver.app.screen._compositor.render_strips() for s in strip))


async def test_every_screen_of_the_app_is_harmless(hostile, opened, tmp_path, monkeypatch):
    names = worst(hostile)
    (tmp_path / "suite.toml").write_text(
        as_toml(with_text(SUITE, ("defaults", "model"), HOSTILE[:-1].replace("\ud800", "")))
    )
    monkeypatch.chdir(tmp_path)
    async with opened(size=(160, 50)) as app:
        seen = []

        async def look(*keys):
            for key in keys:
                await app.press(key)
                await app.pilot.pause(0.02)
                seen.append((app.app.screen.__class__.__name__, key, controls_of(app)))

        await look(
            "w",
            "i",
            "question_mark",
            "escape",
            "n",
            "escape",
            "y",
            "escape",
            "d",
            "escape",
            "P",
            "escape",
            "e",
            "escape",
        )
        for name in names:
            app.app.screen.grid.move_to(name)
            await look("enter")
            await app.until(lambda: isinstance(app.app.screen, Run))
            for number in range(1, len(Run.PANES) + 1):
                await look(str(number), "down", "enter", "escape" if not isinstance(app.app.screen, Run) else "down")
            while isinstance(app.app.screen, Run) or len(app.app.screen_stack) > 2:
                await look("escape")
        assert {screen for screen, _, _ in seen} >= {"Runs", "Run", "Help", "Choose"}
        assert [one for one in seen if one[2]] == []
        assert "]52;c;aGk=" in app.app.export_screenshot()
