"""Whatever stands in the files of runs, suites and data: on no screen of the app is it more than text."""

import json
import re

import pytest
from evil import CONTROLS, EVIL, FORBIDDEN, NAME, Evil, slurm
from processes import nothing_left
from textual.color import Color

from s3tui.tui.screens import compare, run
from s3tui.tui.support.harmless import Harmless

ENDS = re.compile(f"{FORBIDDEN.pattern}|[\n\t]")
MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """Such a workspace, in which nothing is started; the app leaves a dispatcher to it when it is quit."""
    made = Evil(tmp_path_factory.mktemp("evil"))
    with nothing_left(made.workspace.path):
        yield made


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder to write into, and a Slurm that says anything."""
    monkeypatch.setenv("PATH", slurm(tmp_path / "bin"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


class Looked:
    """The app, of which every line that is drawn is looked at after every key."""

    def __init__(self, app):
        self.app = app

    async def press(self, *keys):
        for key in keys:
            await self.app.press(key)
            self.look()

    async def until(self, condition):
        await self.app.until(condition)
        self.look()

    def look(self):
        for strip in self.app.app.screen._compositor.render_strips():
            for segment in strip:
                assert not ENDS.search(segment.text), segment
                assert segment.style is None or not segment.style.link, segment

    async def opens(self, key):
        """A key that puts a screen or a question on top."""
        before = len(self.app.app.screen_stack)
        await self.press(key)
        await self.until(lambda: len(self.app.app.screen_stack) > before)

    async def closes(self, key="escape"):
        before = len(self.app.app.screen_stack)
        await self.press(key)
        await self.until(lambda: len(self.app.app.screen_stack) < before)

    def shows_text(self):
        return MARK in self.app.text

    async def go_to(self, name):
        self.app.app.screen.grid.move_to(name)
        await self.until(lambda: self.app.app.screen.grid.cursor_key == name)


def notices(app):
    return [notice.message for notice in app.app._notifications]


async def test_the_table_of_runs_and_what_is_asked_of_them(evil, opened):
    async with opened(size=(200, 50), workspace=evil.workspace) as app:
        looked = Looked(app)
        await looked.until(looked.shows_text)
        await looked.go_to(evil.finished)
        for key in ("d", "P", "y", "e", "o", "b", "C", "question_mark", "colon"):
            await looked.opens(key)
            await looked.closes()
        await looked.press("s")  # which is refused, as the run is finished
        await looked.until(lambda: any(MARK in notice for notice in notices(app)))


@pytest.mark.parametrize("kind", ["finished", "failed", "in_slurm"])
async def test_every_side_of_a_run(evil, opened, kind):
    async with opened(size=(160, 45), workspace=evil.workspace) as app:
        looked = Looked(app)
        await looked.go_to(getattr(evil, kind))
        await looked.opens("enter")
        for number, _ in enumerate(run.PANES, 1):
            await looked.press(str(number))
            await looked.until(looked.shows_text)
            await looked.press("v")
        assert not FORBIDDEN.search(app.app.export_screenshot())


async def test_runs_side_by_side(evil, opened):
    async with opened(size=(160, 45), workspace=evil.workspace) as app:
        looked = Looked(app)
        for name in (evil.finished, evil.failed):
            await looked.go_to(name)
            await looked.press("space")
        await looked.opens("c")
        for number, _ in enumerate(compare.PANES, 1):
            await looked.press(str(number))
            await looked.until(looked.shows_text)
            await looked.press("f", "down")


async def test_suites_their_previews_and_problems(evil, opened, here):
    text = json.dumps(EVIL)
    head = '[suite]\nname = "first"\n[defaults]\nbudget = 100\n'
    right = f'{head}model = {text}\ntask = "icd10-chapter"\nspace = "lora"\n[experiment.a]\ntags = [{text}]\n'
    for kind, content in (("right", right), ("wrong", f"{head}{text} = {text}\n[experiment.{text}]\n"), ("torn", EVIL)):
        (here / f"{kind}-{NAME}.toml").write_text(content)
    async with opened(size=(160, 45), workspace=evil.workspace) as app:
        looked = Looked(app)
        await looked.opens("S")
        await looked.until(lambda: len(app.app.screen.grid.rows) == 3)
        for kind in ("right", "wrong", "torn"):
            (row,) = (row.key for row in app.app.screen.grid.rows if kind in str(row.key))
            await looked.go_to(row)
            await looked.opens("enter")
            await looked.until(lambda: app.shows("marked") or app.shows("problem"))
            await looked.press("down", "y")
            await looked.closes()


async def test_tables_are_exported_to_the_byte(evil, opened, here):
    async with opened(size=(160, 45), workspace=evil.workspace) as app:
        for form in ("c", "j"):
            await app.press("e", form, "enter")
        await app.until(lambda: (here / "runs.csv").exists() and (here / "runs.json").exists())
    names = {row["name"] for row in json.loads((here / "runs.json").read_bytes())["runs"]}
    assert names == set(evil.names)
    assert EVIL in (here / "runs.csv").read_bytes().decode()


@pytest.mark.parametrize("control", CONTROLS)
def test_the_last_look_is_at_every_control(control):
    from rich.segment import Segment

    (segment,) = Harmless().apply([Segment(f"a{control}b")], Color(0, 0, 0))
    assert not FORBIDDEN.search(segment.text)
