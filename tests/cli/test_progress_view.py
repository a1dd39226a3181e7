import io

import pytest
from rich.console import Console

from core.run.events import EndedEarly, Eval
from s3tui.cli.foreground.progress import Lines, Tally, _view
from s3tui.runs.run_state import RunState

SEARCHING = RunState(
    phase="search", step=12, total=100, train_loss=2.5, validation_loss=2.75, expected=8_999.6, budget=9_086,
    score=0.25, latest=64.0, pace_from=(8, 60.0),
)  # fmt: skip
RETRAINING = RunState(phase="retrain", step=3, total=300, train_loss=1.5, parameters=9_076, budget=9_086)


def drawn(states, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(_view(states, Tally(total=5, done=1, failed=1, running=2, seconds=65.0), width))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_a_row_tells_all_that_matters_and_fits(width):
    lines = drawn({"searched": SEARCHING, "by-chance/seed=1": RETRAINING}, width)
    assert all(len(line) <= width for line in lines)
    for part in ("searched", "search", "12/100", "2.500/2.750", "9,000/9,086", "25.00", "1m 28s"):
        assert part in lines[1]
    for part in ("by-chance/seed=1", "retrain", "3/300", "1.500/-", "9,076/9,086"):
        assert part in lines[2]
    assert lines[3].strip() == "1 of 5 done, 1 failed, 2 running, 1 waiting, 1m 05s"
    assert str(Tally(16, 4, 0, 2, 1.0, resting=7)) == "4 of 16 done, 2 running, 7 at a rung, 3 waiting"


def test_a_narrow_terminal_keeps_the_essentials():
    lines = drawn({"searched": SEARCHING}, 50)
    assert all(len(line) <= 50 for line in lines)
    assert "12/100" in lines[1]
    assert "2.500" in lines[1]


def test_a_long_name_keeps_its_end():
    name = "an-experiment-with-a-name-that-is-really-long/seed=17"
    folded = "".join(line.split(" ")[0] for line in drawn({name: SEARCHING}, 80)[1:-1])
    assert folded == name


def test_a_run_without_events_is_starting_and_its_name_is_no_markup():
    (row,) = (line for line in drawn({"[bold]x": RunState()}, 80) if "starting" in line)
    assert row.startswith("[bold]x")


def test_lines_tell_of_evaluations_in_points(capsys):
    event = Eval("search", 25, "validation", {"accuracy": 0.6125, "macro_f1": None}, True)
    Lines().event("searched", RunState(total=100), event)
    assert capsys.readouterr().err == "searched: search 25/100, validation: accuracy 61.25, macro_f1 -, best so far\n"
    Lines().event("searched", RunState(total=1), Eval("test", 300, "test", {"accuracy": 0.5}, True))
    assert capsys.readouterr().err == "searched: test: accuracy 50.00\n"


def test_lines_tell_that_a_search_ended_early(capsys):
    event = EndedEarly("search", 40, "the structure stayed the same in 3 evaluations")
    Lines().event("searched", RunState(total=100), event)
    told = "searched: search ended early, after step 40 of 100: the structure stayed the same in 3 evaluations\n"
    assert capsys.readouterr().err == told
