"""`s3tui plot`: what is drawn of runs, and files that are pictures."""

import os
import xml.etree.ElementTree as ElementTree

import pytest
from drawn import SPACE, make
from every_command import call

from core.run.methods import METHODS
from s3tui.plot import matplotlib_figures
from s3tui.plot import panels as data
from s3tui.plot.load import read_all
from s3tui.runs.workspace import Workspace

KINDS = ("structure", "gates", "loss", "budget", "pareto", "transfer")


@pytest.fixture
def workspace(tmp_path):
    """Two searches on two tasks, both structures on both tasks, and one drawn at random."""
    runs = tmp_path / "runs"
    for seed in (0, 1):
        make(runs, f"first/source/task=rte,seed={seed}", seed=seed, score=0.6 + 0.1 * seed)
    make(runs, "first/source/task=cb,seed=0", task="cb", score=0.8)
    for task, source, score in [("rte", "cb", 0.55), ("cb", "rte", 0.7)]:
        space = {"name": f"run:first/source/task={source},seed=0", "groups": [{"E0.attn.q": ["bitfit"]}]}
        make(runs, f"first/moved/task={task}", task=task, method="given", score=score, space=space)
    make(runs, "first/by-chance/task=rte", method="random", score=0.5)
    return Workspace(runs)


@pytest.fixture
def runs(workspace):
    return read_all(workspace, workspace.names())


def named(runs, part):
    return [run for run in runs if part in run.run.name]


FORMS = [*((kind, "svg") for kind in KINDS), ("structure", "png"), ("loss", "pdf")]


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_every_kind_becomes_a_picture_of_every_form(workspace, s3tui, tmp_path, kind, form):
    code, out, err = s3tui("plot", "first/*", "--kind", kind, "-o", f"picture.{form}")
    assert (code, out, err) == (0, "", f"wrote picture.{form}\n")
    content = (tmp_path / f"picture.{form}").read_bytes()
    assert len(content) > 2000
    if form == "svg":
        assert ElementTree.fromstring(content).tag.endswith("svg")
    else:
        assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[form])


@pytest.fixture(scope="module")
def oddly_named(tmp_path_factory):
    """Names with what begins a formula, with letters that no font of ours has, and with bytes that are no UTF-8."""
    task = "cost$_{US$.csv"
    runs = tmp_path_factory.mktemp("odd") / os.fsdecode(b"runs-\xe9$_{")
    make(runs, "first/$_{", task=task)
    make(runs, "first/\N{CJK UNIFIED IDEOGRAPH-6F22}$", task="\N{CJK UNIFIED IDEOGRAPH-6F22}^{$.csv")
    space = {"name": "run:first/$_{", "groups": [{"E0.attn.q": ["bitfit"]}]}
    make(runs, "first/moved$", task=task, method="given", space=space)
    Workspace(runs).shared.mkdir()
    return runs


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_no_formula_and_may_have_letters_that_the_font_lacks(oddly_named, kind, tmp_path, capfd):
    picture = tmp_path / os.fsdecode(b"picture-\xe9.svg")
    assert call("plot", "*", "--kind", kind, "-o", str(picture), "--in", str(oddly_named)) == 0
    assert capfd.readouterr().err.splitlines() == [f"wrote {tmp_path}/picture-\N{REPLACEMENT CHARACTER}.svg"]
    ElementTree.fromstring(picture.read_bytes())
    if kind != "structure":  # which is the mean over all of them
        assert "$_{" in picture.read_text(encoding="utf-8")
    assert call("plot", "*", "--kind", kind, "--in", str(oddly_named)) == 0


@pytest.mark.parametrize("form", ["html", "md"])
def test_a_report_on_such_names_has_them_as_they_are(oddly_named, form, tmp_path, capfd):
    assert call("report", str(oddly_named), "-o", str(tmp_path / f"report.{form}")) == 0
    assert capfd.readouterr().err == f"wrote {tmp_path}/report.{form}\n"
    text = (tmp_path / f"report.{form}").read_text(encoding="utf-8")
    assert ("cost$_{US$.csv" if form == "html" else r"cost\$\_{US\$.csv") in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_in_a_terminal_without_escapes_in_a_pipe(workspace, s3tui, kind):
    code, out, _ = s3tui("plot", "first/*", "--kind", kind)
    assert code == 0
    assert len(out.splitlines()) > 3
    assert "\x1b" not in out


def test_equal_pictures_are_equal_files(runs):
    found = data.structure_map(named(runs, "rte,seed"))
    one, other = (
        matplotlib_figures.rendered(matplotlib_figures.figure_of(lambda: matplotlib_figures.structure(found)), "svg")
        for _ in range(2)
    )
    assert one == other


def test_a_file_that_is_there_is_kept(workspace, s3tui, tmp_path):
    (tmp_path / "mine.svg").write_text("mine")
    code, _, err = s3tui("plot", "first/*", "-o", "mine.svg")
    assert (code, err) == (2, "s3tui: mine.svg exists already: name another file, or delete it first\n")
    assert (tmp_path / "mine.svg").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "gate"], "did you mean 'gates'?"),
        (["-o", "picture.jpg"], "its name should end with .png, .pdf, .svg"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_a_line(workspace, s3tui, arguments, words):
    code, out, err = s3tui("plot", "first/*", *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_the_map_averages_p_and_selection_over_seeds(runs):
    found = data.structure_map(named(runs, "rte,seed"))
    assert (found.rows, found.columns) == (("attn.q lora(rank=1)", "attn.q bitfit"), ("E.0", "E.1", "E.2"))
    first, bitfit, both = found.cells[0][0], found.cells[1][0], found.cells[0][2]
    assert (first.p, first.selected) == (pytest.approx(0.5), 0.5)
    assert (bitfit.p, bitfit.selected) == (pytest.approx(0.5), 0.5)
    assert (both.p, both.selected) == (pytest.approx(0.9), 1.0)


def test_seeds_share_a_line_that_is_their_mean(runs):
    panels = {panel.title: panel for panel in data.loss_panels(named(runs, "rte,seed"))}
    panel = panels["search: training loss"]
    (strong,) = [line for line in panel.lines if not line.faint]
    faint = [line for line in panel.lines if line.faint]
    assert (strong.label, len(faint)) == ("source/task=rte", 2)
    for i, y in enumerate(strong.curve.y):
        assert y == pytest.approx(sum(line.curve.y[i] for line in faint) / 2)


def test_smoothing_keeps_steps_and_the_mean_of_a_straight_line():
    from s3tui.runs.curves import Curve

    line = Curve(tuple(range(100)), tuple(float(2 * x) for x in range(100)))
    smooth = data.smoothed(line)
    assert smooth.x == line.x
    assert smooth.y[10:90] == pytest.approx(line.y[10:90])


def test_gates_that_are_not_chosen_are_faint(runs):
    (panel,) = data.gate_panels(named(runs, "task=cb,seed=0"))
    assert [line.label for line in panel.lines if not line.faint] == ["lora", "lora"]
    assert len(panel.lines) == len(SPACE)
    assert panel.lines[4].curve.y[-1] == pytest.approx(0.9)


def test_the_budget_is_a_limit_beside_what_gates_expect_and_sample(runs):
    (panel,) = data.budget_panels(named(runs, "task=cb,seed=0"))
    assert panel.limit == ("budget", 128)
    assert [line.curve.y[-1] for line in panel.lines] == [200.0, 128.0, 96]


def test_the_matrix_has_own_searches_on_the_diagonal_and_baselines_below(runs):
    found = data.transfer_matrix(runs)
    assert set(found.columns) == {"rte", "cb"}
    lines = dict(zip(found.rows, found.values, strict=True))
    table = {(row, c): v for row, line in lines.items() for c, v in zip(found.columns, line, strict=True)}
    assert table["rte", "rte"] == pytest.approx(65.0)  # over both seeds
    assert table["cb", "cb"] == pytest.approx(80.0)
    assert table["cb", "rte"] == pytest.approx(55.0)
    assert table["rte", "cb"] == pytest.approx(70.0)
    assert (table["by-chance", "rte"], table["by-chance", "cb"]) == (pytest.approx(50.0), None)
    assert found.rows[:2] == found.columns
    assert dict(zip(found.columns, found.reference, strict=True)) == {"rte": pytest.approx(65), "cb": pytest.approx(80)}


def test_every_search_stands_on_the_diagonal(tmp_path):
    runs = tmp_path / "runs"
    for task, score in (("rte", 0.6), ("cb", 0.8)):
        make(runs, f"first/pruned/task={task}", task=task, method="bipeft", score=score)
    space = {"name": "run:first/pruned/task=cb", "groups": [{"E0.attn.q": ["bitfit"]}]}
    make(runs, "first/moved", task="rte", method="given", score=0.55, space=space)
    workspace = Workspace(runs)
    found = data.transfer_matrix(read_all(workspace, workspace.names()))
    assert found.rows == found.columns
    assert dict(zip(found.columns, found.reference, strict=True)) == {"rte": pytest.approx(60), "cb": pytest.approx(80)}


def test_every_method_has_a_mark_of_its_own(tmp_path):
    runs = tmp_path / "runs"
    for method in [*METHODS, "of-tomorrow"]:
        make(runs, f"first/{method}", method=method)
    workspace = Workspace(runs)
    rows = data.pareto_rows(read_all(workspace, workspace.names()))
    figure = matplotlib_figures.figure_of(lambda: matplotlib_figures.pareto(rows))
    marks = {str(container.get_label()): container[0].get_marker() for container in figure.axes[0].containers}
    assert set(marks) == {*METHODS, "of-tomorrow"}
    assert len(set(marks.values())) == len(marks)
    assert (marks["s3"], marks["random"], marks["fixed"]) == ("o", "s", "^")


def test_without_a_transfer_there_is_no_matrix(runs, s3tui):
    code, _, err = s3tui("plot", "first/source/*", "--kind", "transfer")
    assert code == 2
    assert "none of these runs trains a structure of another" in err
