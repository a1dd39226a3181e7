"""Starting a suite from the app: find its file, see what it would start, start it."""

import pytest
from processes import SUITE

from s3tui.runs.workspace import Workspace, find_runs
from s3tui.tui.screens.runs import Runs
from s3tui.tui.support.background import in_thread

TWO = '[experiment.a]\n[experiment.b]\nmethod = "random"\nmatrix = { seed = [0, 1] }\n'


@pytest.fixture
def here(script, tmp_path, monkeypatch):
    """The folder of the suite, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(here, text=TWO, name="suite.toml"):
    (here / name).write_text(SUITE + text)


def rows(app):
    return {
        row.key: "".join(part for cell in row.cells.values() for part, _ in cell) for row in app.app.screen.grid.rows
    }


def notices(app):
    return " ".join(notice.message for notice in app.app._notifications)


async def preview(app):
    """Open the preview of the first suite that is found."""
    await app.press("S")
    await app.until(lambda: app.app.screen.grid.rows)
    await app.press("enter")
    await app.until(lambda: app.shows("marked") or app.shows("problems of the file"))


async def test_the_picker_lists_suites_and_says_why_others_are_none(here, opened):
    write(here)
    (here / "pyproject.toml").write_text("[project]\n")
    (here / "torn.toml").write_text("[suite")
    async with opened() as app:
        await app.press("S")
        await app.until(lambda: app.shows("suite.toml", "first"))
        assert app.shows("pyproject.toml", "no suite: it has no", "torn.toml", "is no TOML")
        assert not any("spec.json" in key for key in rows(app))
        await app.press("end", "enter")
        await app.until(lambda: "pyproject.toml: no suite" in notices(app))


async def test_where_no_suite_is_the_next_step_is_told(here, opened):
    async with opened() as app:
        await app.press("S")
        await app.until(lambda: app.shows("No TOML file here", "s3tui init"))


async def test_a_path_can_be_typed(here, opened, tmp_path):
    (tmp_path / ".hidden").mkdir()
    write(here, name=".hidden/one.toml")
    async with opened() as app:
        await app.press("S", "t")
        await app.write(".hidden/one.toml")
        await app.press("enter")
        await app.until(lambda: app.shows("3 of 3 marked"))


async def test_a_started_suite_runs_and_its_runs_are_in_the_table(here, opened, script):
    write(here)
    async with opened() as app:
        await preview(app)
        assert app.shows("3 new", "b/seed=1", "0.0400%")
        await app.press("s")
        await app.until(lambda: isinstance(app.app.screen, Runs) and app.shows("✓ finished"))
        await app.until(lambda: all(run.status.name == "finished" for run in find_runs(script.workspace.path)))
    assert [run.name for run in find_runs(script.workspace.path)] == ["first/a", "first/b/seed=0", "first/b/seed=1"]


async def test_only_the_marked_runs_are_started(here, opened, script):
    write(here)
    async with opened() as app:
        await preview(app)
        await app.press("a", "end", "space")
        assert app.shows("1 of 3 marked", "--only=b/seed=1")
        await app.press("s")
        await app.until(lambda: isinstance(app.app.screen, Runs) and app.app.screen.grid.rows)
    assert [run.name for run in find_runs(script.workspace.path)] == ["first/b/seed=1"]


async def test_the_cursor_goes_to_what_was_started(here, opened, script):
    write(here)
    for number in range(3):
        script.finished(f"first/0-before-{number}")
    script.workspace.pause.touch()
    async with opened() as app:
        app.app.screen.grid.move_to("first/0-before-2")
        await preview(app)
        await app.press("s")
        await app.until(lambda: isinstance(app.app.screen, Runs) and len(app.app.screen.grid.rows) == 6)
        await app.until(lambda: app.app.screen.grid.cursor_key == "first/a")


async def test_what_is_in_the_data_is_shown_and_read_again(here, opened):
    data = "text,label\n" + "".join(f"words {i},{'ab'[i % 2]}\n" for i in range(20))
    task = 'task = { path = "own.csv", text = "text", label = "label" }\n'
    (here / "own.csv").write_text(data + ",a\n,b\n")
    write(here, f"[experiment.a]\n{task}")
    async with opened() as app:
        await preview(app)
        await app.until(lambda: app.shows("20 rows: train 16", "own.csv: 2 of 22 rows have an empty 'text'"))
        (here / "own.csv").write_text(data)
        await app.press("r")
        await app.until(lambda: app.shows("20 rows: train 16") and not app.shows("have an empty"))


async def test_problems_are_shown_in_place_and_the_file_can_be_read_again(here, opened):
    write(here, '[experiment.a]\nmethod = "sarch"\nseed = -1\n')
    async with opened() as app:
        await preview(app)
        assert app.shows("problems of the file", "experiment.a.method", "experiment.a.seed")
        assert not app.shows("Start")
        write(here)
        await app.press("r")
        await app.until(lambda: app.shows("3 of 3 marked"))


async def test_finished_runs_are_left_and_fresh_asks_before_they_are_lost(here, opened, script):
    write(here)
    async with opened() as app:
        await preview(app)
        await app.press("s")
        await app.until(lambda: [r.status.name for r in app.app.snapshot.runs.values()] == ["finished"] * 3)
        result = script.workspace.run("first/a").result
        before = result.stat().st_mtime_ns
        await preview(app)
        assert app.shows("3 finished", "is left as it is")
        await app.press("f")
        await app.until(lambda: app.shows("what they have is lost"))
        assert app.shows("is left as it is")  # its settings are the same
        write(here, TWO.replace("[experiment.a]", "[experiment.a]\nsearch.clip = 1.0"))
        await app.press("r")
        await app.until(lambda: app.shows("finished, with other settings: is replaced, results too"))
        await app.press("s")
        assert app.shows("1 of these runs have other settings than the file, 1 of them are finished")
        await app.press("n")
        assert result.stat().st_mtime_ns == before
        await app.press("s", "y")
        await app.until(lambda: isinstance(app.app.screen, Runs))
        await app.until(lambda: result.exists() and result.stat().st_mtime_ns != before)


async def test_a_run_that_stands_in_the_way_is_told_and_none_is_started(here, opened, script):
    write(here)
    script.finished("first/a", budget=700)
    async with opened() as app:
        await preview(app)
        assert app.shows("! 1 in the way", "2 new", "was run with other settings")
        await app.press("s")
        await app.until(lambda: "1 of the marked runs cannot be started" in notices(app))
        assert len(find_runs(script.workspace.path)) == 1


async def test_another_workspace_is_told_and_opened(here, opened, script):
    write(here, TWO.replace("[experiment.a]", "[experiment.a]\n"))
    text = (here / "suite.toml").read_text().replace('name = "first"', 'name = "first"\nworkspace = "elsewhere"')
    (here / "suite.toml").write_text(text)
    async with opened() as app:
        await preview(app)
        assert app.shows("its workspace is", "elsewhere")
        await app.press("s")
        await app.until(lambda: app.app.workspace == Workspace(here / "elsewhere"))
        await app.until(lambda: [r.status.name for r in app.app.snapshot.runs.values()] == ["finished"] * 3)


async def test_a_read_only_workspace_says_that_nothing_can_be_started(here, opened, script, monkeypatch):
    write(here)
    script.queued("first/held", "held")
    monkeypatch.setattr("s3tui.runs.workspace.os.access", lambda *_: False)  # tests may be run by root
    async with opened() as app:
        await preview(app)
        assert app.shows("nothing can be started", "read-only")
        await app.press("s")
        await app.until(lambda: "you can look at its runs, not change them" in notices(app))
        assert len(find_runs(script.workspace.path)) == 1


async def test_candidates_are_counted_on_the_true_model(here, opened, tmp_path):
    text = SUITE.replace('"succeed"', '"builtin:minilm"') + "[experiment.a]\n"
    (tmp_path / "suite.toml").write_text(text)
    async with opened() as app:
        await preview(app)
        # As in the paper's space on 6 layers; 0.04 % of 22,713,216 parameters.
        await app.until(lambda: app.shows("108 candidates, 85,680 of 22,713,216 parameters", "9,085"))
        assert app.shows("peft unless low-rank-adapter is chosen")


async def test_a_suite_can_be_found_and_looked_at_on_any_terminal(here, opened):
    write(here)
    async with opened() as app:
        await app.press("S")
        await app.until(lambda: app.app.screen.grid.rows)
        await app.fits()
        await app.press("enter")
        await app.until(lambda: len(app.app.screen.grid.rows) == 3)
        await app.fits()


async def test_problems_of_a_suite_are_seen_on_any_terminal(here, opened):
    write(here, '[experiment.a]\nmethod = "sarch"\n')
    async with opened() as app:
        await preview(app)
        await app.fits()


async def test_an_error_of_our_own_in_the_background_ends_the_app_loudly(script, opened):
    def breaks():
        raise ZeroDivisionError("ours")

    async def see_it_break():
        async with opened() as app:
            in_thread(app.app.screen, breaks, print)
            await app.until(lambda: not app.app.is_running)

    with pytest.raises(ZeroDivisionError, match="ours"):
        await see_it_break()
