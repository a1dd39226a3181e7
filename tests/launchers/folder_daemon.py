"""The cluster of `folder_launcher`: `python folder_daemon.py FOLDER SLOTS` runs the jobs that it finds there."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.run.rundir import read_json, write_json

SIGNALS = {"stop": signal.SIGTERM, "kill": signal.SIGINT, "cancel": signal.SIGINT}


class Daemon:
    def __init__(self, root, slots):
        self.root, self.slots = root, slots
        self.waiting, self.running, self.held, self.cancelled = {}, {}, set(), set()

    def note(self, id, phase, state, **more):
        batch, _, task = id.partition(".")
        write_json(
            self.root / "states" / id, {"phase": phase, "state": state, "batch": batch, "task": int(task)} | more
        )

    def tick(self):
        for path in sorted((self.root / "jobs").glob("[!.]*")):
            self.waiting[path.name] = read_json(path)
            path.unlink()
            self.note(path.name, "waiting", "WAITING", reason="for a slot")
        for path in sorted((self.root / "requests").iterdir()):
            id, _, request = path.name.partition("-")
            self.obey(id, request)
            path.unlink()
        for id, (process, _) in list(self.running.items()):
            if process.poll() is not None:
                del self.running[id]
                end = {"end": "cancelled", "manner": "it was cancelled"} if id in self.cancelled else {}
                self.note(id, "ended", "ENDED", exit_code=str(process.returncode), **end)
        for id, job in sorted(self.waiting.items(), key=lambda pair: -pair[1]["priority"]):
            if id not in self.held and sum(slots for _, slots in self.running.values()) + job["slots"] <= self.slots:
                del self.waiting[id]
                self.running[id] = (subprocess.Popen(job["command"], start_new_session=True), job["slots"])
                self.note(id, "working", "WORKING", node="n1")

    def obey(self, id, request):
        if request == "forget":
            self.running.pop(id)
            (self.root / "states" / id).unlink()
        elif request in ("hold", "release"):
            self.held = self.held | {id} if request == "hold" else self.held - {id}
            self.note(id, "waiting", "WAITING", reason="held" if request == "hold" else "for a slot")
        elif id in self.running:
            self.cancelled |= {id} if request == "cancel" else set()
            os.kill(self.running[id][0].pid, SIGNALS[request])
        elif request == "cancel" and self.waiting.pop(id, None):
            self.note(id, "ended", "ENDED", end="cancelled", manner="it was cancelled")


def main(folder, slots):
    for name in ("jobs", "requests", "states"):
        (Path(folder) / name).mkdir(exist_ok=True)
    (Path(folder) / "slots").write_text(slots)
    daemon = Daemon(Path(folder), int(slots))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            daemon.tick()
            time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
