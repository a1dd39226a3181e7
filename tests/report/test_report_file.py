"""`s3tui report`: one file that says all about a suite and needs no other."""

import re
from html.parser import HTMLParser

import pytest
from drawn import make

from core.run.methods import OWN
from s3tui.plot.load import read_all
from s3tui.race.record import Record, Rules, write_race
from s3tui.report.blocks import Heading, Picture, Table, Text
from s3tui.report.content import content
from s3tui.report.html import page
from s3tui.report.markdown import markdown
from s3tui.report.race_view import view_of
from s3tui.report.races import races as parts_of_races
from s3tui.runs.index import Board
from s3tui.runs.workspace import Workspace
from s3tui.scheduling.races import races


@pytest.fixture
def workspace(tmp_path):
    for seed in (0, 1, 2):
        make(tmp_path / "runs", f"first/source/seed={seed}", seed=seed, score=0.6 + 0.1 * seed)
        make(tmp_path / "runs", f"first/by-chance/seed={seed}", seed=seed, score=0.58 + 0.1 * seed, method="random")
    space = {"name": "run:first/source/seed=0", "groups": [{"E0.attn.q": ["bitfit"]}]}
    make(tmp_path / "runs", "first/moved", task="cb", method="given", space=space)
    make(tmp_path / "runs", "second/other")
    (tmp_path / "runs/.s3tui").mkdir()
    return Workspace(tmp_path / "runs")


class Page(HTMLParser):
    """The ids of a page, what refers to them or to elsewhere, and its tags."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.references, self.tags, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for key, value in attributes:
            if key == "id":
                self.ids.append(value)
            if key in ("href", "xlink:href", "src"):
                self.references.append(value)


@pytest.fixture
def written(workspace, s3tui, tmp_path):
    def write(name):
        code, out, err = s3tui("report", "runs/first", "-o", name)
        assert (code, out, err) == (0, "", f"wrote {name}\n")
        return (tmp_path / name).read_text(encoding="utf-8")

    return write


def test_the_page_needs_nothing_from_elsewhere(written):
    text = written("report.html")
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    assert all(reference.startswith("#") and reference[1:] in found.ids for reference in found.references)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(found.ids)
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert found.tags.count("svg") >= 5


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_it_tells_results_gains_settings_versions_and_that_no_energy_is_known(written, name):
    text = re.sub(r"[\\*]", "", written(name))
    assert "7 of 7 runs are finished." in text
    assert "70.00 ± 10.00" in text
    assert "+2.00 [+2.00, +2.00]" in text  # each seed is two points above its pair
    assert "by-chance" in text
    assert "second" not in text
    assert "Energy is known only for runs" in text
    for part in ("Results", "Scores and parameters", "Transfer", "Structures", "Curves", "Settings"):
        assert part in text


def test_a_race_has_its_bracket_and_its_scores_against_compute(workspace, s3tui, tmp_path):
    for seed, score in enumerate((0.5, 0.7, 0.6)):
        make(workspace.path, f"third/best/seed={seed}", seed=seed, score=score, method="random")
    arms = tuple(f"best/seed={seed}" for seed in range(3))
    write_race(workspace.path / "third/best", Record(Rules((60,), confirm=1, final=1), arms, (9,)))
    code, _, err = s3tui("report", "runs/third", "-o", "race.md")
    assert code == 0, err
    text = (tmp_path / "race.md").read_text(encoding="utf-8")
    assert text.index("## Races") < text.index("### third/best") < text.index("## Results")
    lines = [line for line in text.splitlines() if "─● " in line or "─✗ " in line]
    assert lines == ["1 1  ───────● 70.00", "2 2  ───────✗ 60.00", "0 0  ───────✗ 50.00"]
    board = Board(workspace)
    board.refresh()
    shown = Page(page("third", parts_of_races([view_of(race) for race in races(board)])))
    assert shown.tags.count("svg") == 2


EVIL = "<script>alert(1)</script> | `*_ <img src=x>"


def blocks():
    """One of each, with text that would be markup."""
    yield Heading(EVIL)
    yield Text(EVIL)
    yield Table((EVIL, "n"), [[EVIL, "1"]], frozenset({1}), frozenset({0}))
    yield Picture(EVIL, lambda: "<?xml?><svg></svg>", lambda: EVIL)


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_structures_and_gates_are_shown_of_every_method_that_has_gates(tmp_path, row):
    make(tmp_path, "first/one", method=row.name)
    workspace = Workspace(tmp_path)
    blocks = list(content("first", read_all(workspace, workspace.names())))
    assert (Heading("Structures") in blocks) == row.gates
    captions = [block.caption for block in blocks if isinstance(block, Picture)]
    assert any("every gate" in caption for caption in captions) == row.gates


def test_names_from_files_are_text_and_never_markup():
    found = Page(page(EVIL, blocks()))
    assert not {"script", "img"} & set(found.tags)
    rows = [line for line in markdown(blocks()).splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    assert not any(re.search(r"(?<!\\)<", row) for row in rows)


def test_a_report_that_is_there_is_kept(workspace, s3tui, tmp_path):
    (tmp_path / "report.md").write_text("mine")
    code, _, err = s3tui("report", "runs", "-o", "report.md")
    assert (code, err) == (2, "s3tui: report.md exists already: name another file, or delete it first\n")
    assert (tmp_path / "report.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs", "-o", "report.pdf"], "its name should end with .html or .md"),
        (["nothing", "-o", "report.md"], "there is no nothing"),
    ],
)
def test_what_cannot_be_written_is_told_in_a_line(workspace, s3tui, arguments, words):
    code, out, err = s3tui("report", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_workspace_is_reported_with_all_its_suites(workspace, s3tui, tmp_path):
    assert s3tui("report", "runs", "-o", "report.md")[0] == 0
    assert "second/other" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_report_says_which_rows_the_runs_had_and_how_many_are_left_out(written):
    text = written("report.md")
    assert "| rte | 80 | 10 | 9 | 2 | 5 have an empty 'text' |" in text.replace("\\", "")
    assert "rte: read." in text
