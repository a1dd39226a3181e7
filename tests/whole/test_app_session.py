"""A real session: the app in tmux, a real search of a tiny model started, watched, stopped, left, and come back to."""

import shutil
import subprocess
import sys
import time

import pytest
from support import save_model, save_reviews

from core.run.rundir import RunDir
from s3tui.runs.workspace import Workspace, read_run

DEADLINE = 120.0
SUITE = """
[suite]
name = "first"
workspace = "runs"
threads = 1
[defaults]
model = "{model}"
space = "mix-low-rank"
budget = 300
task = {{ path = "{data}", text = ["text"], label = "label", max_length = 24 }}
[defaults.search]
max_steps = 800
eval_every = 400
batch_size = 8
learning_rate = 1e-2
[defaults.retrain]
max_steps = 20
eval_every = 10
batch_size = 8
[experiment.searched]
"""


class Terminal:
    """The app in a terminal of tmux, whose server is the test's own."""

    def __init__(self, folder):
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._folder = folder
        self._run("new-session", "-d", "-s", "t", "-x", "110", "-y", "34", "sh")
        self.write(f"cd {folder}; export XDG_STATE_HOME={folder}/state COLORTERM=truecolor OMP_NUM_THREADS=1")
        self.write(f"{sys.executable} -m s3tui open; echo left:$?")

    def _run(self, *arguments):
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True, timeout=30)
        return done.stdout

    def write(self, line):
        self._run("send-keys", "-t", "t", "-l", line)
        self.press("Enter")

    def press(self, *keys):
        for key in keys:
            self._run("send-keys", "-t", "t", key)

    @property
    def text(self):
        return self._run("capture-pane", "-p", "-t", "t")

    def until(self, *texts, gone=()):
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            shown = self.text
            if all(text in shown for text in texts) and not any(text in shown for text in gone):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{texts} did not come:\n{self.text}")

    def close(self):
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=30, check=False)


@pytest.fixture
def terminal(tmp_path):
    model = save_model("bert", tmp_path / "model")
    data = save_reviews(tmp_path / "reviews.jsonl")
    (tmp_path / "suite.toml").write_text(SUITE.format(model=model, data=data))
    one = Terminal(tmp_path)
    try:
        yield one
    finally:
        one.close()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_suite_is_started_watched_stopped_left_and_come_back_to(terminal, tmp_path):
    run = tmp_path / "runs" / "first" / "searched"
    terminal.until("No runs in this workspace yet")
    terminal.press("S")
    terminal.until("suite.toml")
    terminal.press("Enter")
    terminal.until("searched", "Start")
    terminal.press("s")
    terminal.until("● running", "search")
    terminal.press("Enter")
    terminal.until("1 Loss", "━ train")
    terminal.press("s")
    terminal.until("paused")
    assert (run / "checkpoint").is_dir()
    terminal.press("q")
    terminal.until("left:0")
    # As one left it; only now it goes on, to its end.
    terminal.write(f"clear; {sys.executable} -m s3tui open --watch; echo left:$?")
    terminal.until("■ paused", gone=("left:0",))
    terminal.press("u")
    terminal.until("○ queued", "nobody starts queued runs")
    terminal.press("D")
    terminal.until("✓ finished")
    terminal.press("Enter")
    terminal.until("1 Loss")
    tabs = ("p after step", "first-fit", "structure", "log, the last", "task.path", "spec.json")
    for number, shown in enumerate(tabs, 2):
        terminal.press(str(number))
        terminal.until(shown)
    assert read_run(RunDir(run), "first/searched").status.name == "finished"
    terminal.press("q")
    terminal.until("left:0")
    assert Workspace(tmp_path / "runs").dispatcher() is None
