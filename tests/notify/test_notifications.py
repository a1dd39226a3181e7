"""A suite tells of each event once, whoever dispatches and dies; whom it cannot reach is one line and no failure."""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from processes import DEADLINE, STAND_IN, SUITE, drive, kill, wait_until
from terminals import at_a_terminal

from s3tui.notify.news import News
from s3tui.notify.record import Notices, Standing, change, file_of, noted, read_notices, set_targets
from s3tui.notify.services import doubts
from s3tui.notify.targets import as_json, masked
from s3tui.runs.index import Board
from s3tui.scheduling.notices import Notifier, standing, summed
from s3tui.suite.load import load
from s3tui.text.problems import ConfigError

SECRET = "s3cret"
NOBODY = f"http://me:{SECRET}@127.0.0.1:1/{SECRET}?token={SECRET}"  # nothing listens there
RACE = """
[experiment.best]
race = { rungs = [10, 20], keep = 0.5, confirm = 1, final = 1 }
matrix = { seed = [0, 1] }
method = "random"
model = "races"
retrain.eval_every = 10
"""


@pytest.fixture
def inbox():
    """The address of a web server on this machine, and the messages that it has received."""
    pytest.importorskip("apprise")
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append((self.path, message["title"], message["message"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook?key=a%26b", received
    server.shutdown()
    server.server_close()


def notifying(*targets):
    return SUITE.replace("threads = 1", f"threads = 1\nretries = 0\nnotify = {json.dumps(targets)}")


def messages(received):
    return sorted(message for _, _, message in received)


def test_failures_the_answer_of_a_race_and_the_end_are_told_and_whoever_is_away_is_one_line(suite, workspace, inbox):
    address, received = inbox
    file = suite(f'[experiment.bad]\nmodel = "bad-data"\n{RACE}', notifying("bell", NOBODY, address))
    command = [*STAND_IN, "drive", str(file)]
    code, written = at_a_terminal(command, DEADLINE, env=os.environ | {"TERM": "dumb"})
    said = written.decode()
    assert code == 2, said  # that of the run with wrong data
    done, failed, decided = messages(received)
    assert done == "done: 1 finished, 1 failed"
    assert failed == "failed: bad: data: the file has no column 'label': its columns are a, b"
    assert decided.startswith("race best is decided: best/seed=")
    assert {(path, title) for path, title, _ in received} == {("/hook?key=a%26b", "s3tui: first")}
    assert "\a" in said, "the terminal rings"
    assert said.count("no notification through http://127.0.0.1:1/…; s3tui validate says what may be wrong") == 1
    assert SECRET not in said
    assert file_of(workspace, "first").parent.stat().st_mode & 0o77 == 0, "secrets are for their owner alone"
    set_targets(workspace, "first", ())
    assert read_notices(workspace, "first") is None, "a suite that notifies nobody any more leaves no addresses behind"


def test_each_event_is_told_once_however_often_the_dispatcher_is_killed(suite, workspace, inbox):
    address, received = inbox
    experiments = '[experiment.s]\nmatrix = { seed = [0, 1, 2] }\n[experiment.bad]\nmodel = "bad-data"\n'
    slow = os.environ | {"STAND_IN_STEP_SECONDS": "0.01"}
    process = drive(suite(experiments, notifying(address)), env=slow)
    wait_until(lambda: workspace.dispatcher() is not None)
    for pause in (0.3, 0.6, 0.9):  # any moment will do, also that in which the bad run has failed
        time.sleep(pause)
        kill(process.pid, 9)
        process.communicate(timeout=DEADLINE)
        process = drive("attach", str(workspace.path), env=slow)
    other = drive("attach", str(workspace.path), env=slow)  # another client, which only watches
    for client in (process, other):
        client.communicate(timeout=DEADLINE)
    wait_until(lambda: not read_notices(workspace, "first").waiting and len(received) >= 2)
    assert messages(received) == [
        "done: 3 finished, 1 failed",
        "failed: bad: data: the file has no column 'label': its columns are a, b",
    ]


def test_what_the_last_dispatcher_did_not_live_to_tell_is_told_by_the_next_one_though_nothing_is_left_to_do(
    suite, workspace, inbox
):
    address, received = inbox
    process = drive(suite("[experiment.s]\n", notifying("bell")))
    process.communicate(timeout=DEADLINE)
    change(workspace, "first", lambda notices: Notices((address,), under_way=("first", "first/s")))
    process = drive("attach", str(workspace.path))
    process.communicate(timeout=DEADLINE)
    wait_until(lambda: messages(received) == ["done: 1 finished"])


def looks(*standings):
    """What is told when one dispatcher after the other looks at a suite that stands like this."""
    notices, told = Notices(("https://h/x",)), []
    for under_way, ended in standings:
        now = Standing(frozenset(under_way), ended, frozenset({"s", "s/a", "s/b"}))
        assert noted(noted(notices, now, summed), now, summed) == noted(notices, now, summed), "looking twice is safe"
        notices = noted(notices, now, summed)
        told += notices.waiting
        notices = Notices(notices.to, notices.under_way)
    return told


def test_only_what_was_seen_under_way_is_told_and_again_after_a_retry():
    failed, done = {"s/a": "failed: a: x"}, {"s": "done"}
    assert looks(((), failed | done)) == [], "what had ended before is no news"
    under_way, ended = ({"s", "s/a"}, {}), ((), failed | done)
    assert looks(under_way, ended, ended) == ["failed: a: x", "done"]
    assert looks(under_way, ended, under_way, ended) == ["failed: a: x", "done"] * 2
    stopped = ((), {})
    assert looks(under_way, stopped, under_way, ended) == ["failed: a: x", "done"], "stopped by hand is not the end"
    both = {"s/a": "failed: a: x", "s/b": "failed: b: y"}
    assert looks(({"s/a", "s/b"}, {}), ((), both)) == ["2 runs failed: a, b; the first: a: x"]


def test_a_dispatcher_has_what_the_last_one_left_sent_and_tries_once(workspace, monkeypatch):
    started = []
    monkeypatch.setattr("s3tui.scheduling.notices.start_sender", lambda *given: started.append(given))
    monkeypatch.setattr("s3tui.scheduling.notices.Notifier._reap", lambda *_: None)
    workspace.make()
    set_targets(workspace, "first", ("https://h/x",))
    change(workspace, "first", lambda notices: Notices(notices.to, (), ("failed: a",), 1))
    board = Board(workspace)
    for _ in range(2):
        notifier = Notifier(board)
        notifier.note(frozenset())
        notifier.note(frozenset())
    assert started == [(workspace, "first")] * 2
    # A damaged record notifies nobody and stops nobody.
    file_of(workspace, "first").write_text("{")
    Notifier(board).note(frozenset())
    assert len(started) == 2


def test_clients_ring_for_what_comes_after_they_have_opened(workspace):
    workspace.make()
    set_targets(workspace, "first", ("bell",))
    change(workspace, "first", lambda notices: Notices(notices.to, count=3, warning="old", warned=1))
    news = News(workspace)
    news.look()
    assert (news.rings, news.warnings) == (0, ())
    change(workspace, "first", lambda notices: Notices(notices.to, count=5, warning="new", warned=2))
    for _ in range(2):
        news.look()
        assert (news.rings, news.warnings) == (2, ("new",))


def test_a_suite_whose_last_runs_were_stopped_is_not_done(suite, workspace):
    process = drive(suite('[experiment.s]\nmodel = "stops-on-term"\n', notifying("bell")))
    wait_until(lambda: (there := read_notices(workspace, "first")) and "first" in there.under_way)
    process.send_signal(15)
    process.communicate(timeout=DEADLINE)
    board = Board(workspace)
    board.refresh()
    now = standing(board, "first", frozenset())
    assert not now.under_way
    assert "first" not in now.ended


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("3", "should be a list of whom to notify"),
        ('["bel"]', "'bel' is no target, did you mean 'bell'? or a URL"),
        (f'["{SECRET}:{SECRET}"]', 'should have "desktop", "bell" and URLs alone'),
        (f'["https://me:{SECRET}@/x"]', "https:///… names no host"),
    ],
)
def test_what_is_no_target_is_said_without_its_secrets(tmp_path, written, problem):
    file = tmp_path / "suite.toml"
    file.write_text(SUITE.replace("threads = 1", f"notify = {written}") + "[experiment.a]\n")
    with pytest.raises(ConfigError) as error:
        load(file)
    assert problem in str(error.value)
    assert SECRET not in str(error.value)


def test_notify_does_not_define_the_runs(tmp_path):
    file = tmp_path / "suite.toml"
    file.write_text(SUITE + "[experiment.a]\n")
    plain = load(file)
    file.write_text(notifying("bell", "bell", "https://h/x") + "[experiment.a]\n")
    assert load(file).runs[0].spec == plain.runs[0].spec
    assert (plain.notify, load(file).notify) == ((), ("bell", "https://h/x"))


def test_a_url_is_shown_without_what_may_be_secret():
    assert masked(f"https://u:{SECRET}@h.org:8/{SECRET}?k={SECRET}") == "https://h.org:8/…"
    assert masked(f"slack://{SECRET}/{SECRET}") == "slack:///…"
    assert masked("desktop") == "desktop"
    assert as_json("https://u:p@h.org:8/x/y?k=a%26b&c=#z") == "jsons://u:p@h.org:8/x/y?-k=a%26b&-c="


def test_validate_says_what_cannot_work_here():
    pytest.importorskip("apprise")
    assert list(doubts(["bell", "https://h.org/x", "mailto://a:b@gmail.com"])) == []
    (unknown,) = doubts([f"slakc://{SECRET}"])
    assert "apprise does not know slakc:///…" in unknown


def test_without_apprise_only_bells_are_rung(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    assert list(doubts(["bell"])) == []
    assert list(doubts(["bell", "https://h/x"])) == [
        "notify: apprise is not installed, so only bells are rung; pip install 's3tui[notify]'"
    ]
