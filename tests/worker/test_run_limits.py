"""A run with a limit pauses there, before the test, and goes on as if it had never paused."""

import pytest
from support import make_run
from workers import EVAL_EVERY, STEPS, attempt, make_spec, outcome

from core.run.errors import EXIT_FAILED, EXIT_OK
from core.run.events import Eval, Failed, read_events
from core.run.limit import Limit, read_limit, write_limit


@pytest.mark.parametrize("method", ["s3", "full"])
def test_a_run_that_pauses_at_limits_ends_bit_for_bit_like_one_that_does_not(tmp_path, root, reference, method):
    spec = make_spec(root, method=method, every=STEPS)
    run = make_run(tmp_path / "run", spec)
    for steps in (EVAL_EVERY, 3 * EVAL_EVERY, STEPS):
        write_limit(run, Limit(steps))
        assert attempt(run) == EXIT_FAILED
        events = read_events(run.events)[0]
        last = events[-1]
        assert isinstance(last, Failed)
        assert (last.kind, last.message) == ("stopped", f"paused at step {steps} of {STEPS}")
        # Its score at the rung is known, and the test split has not been read.
        evals = [event for event in events if isinstance(event, Eval)]
        assert (evals[-1].phase, evals[-1].step, evals[-1].split) == ("retrain", steps, "validation")
        assert not any(event.split == "test" for event in evals)
        assert not run.result.exists()
        assert not run.predictions.exists()
    assert attempt(run) == EXIT_FAILED  # as it is where it may go to, it pauses again
    assert read_limit(run) == Limit(STEPS)
    run.limit.unlink()
    assert attempt(run) == EXIT_OK
    assert outcome(run) == reference(spec)


def test_a_damaged_limit_is_told(tmp_path, root):
    run = make_run(tmp_path / "run", make_spec(root, method="random"))
    run.limit.write_text('{"v": 1, "steps": 0}')
    assert attempt(run) != EXIT_OK
    failed = read_events(run.events)[0][-1]
    assert (failed.kind, failed.message) == ("rundir", f"{run.limit} is damaged")
