"""A real Slurm on this machine for the tests: controller, nodes and munge of its own, gone with the test session."""

import contextlib
import ctypes
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
NODES = 4
START_SECONDS = 60.0

CONFIG = """
ClusterName=s3test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=4
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
EnforcePartLimits=ALL
KillWait=5
SlurmdTimeout=10
MessageTimeout=5
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=1 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=n[1-{nodes}] Default=YES MaxTime=60 State=UP
PartitionName=closed Nodes=n[1-{nodes}] MaxTime=60 State=DOWN
"""


class Cluster:
    """Its daemons, by name; each is stopped by the process that was started."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._daemons = {}

    def start(self):
        """Start all of it; raises RuntimeError with the reason where that cannot be done here."""
        missing = [program for program in PROGRAMS if shutil.which(program, path=_path()) is None]
        if missing:
            raise RuntimeError(f"Slurm is not installed: {', '.join(missing)} not found")
        os.environ["SLURM_CONF"] = str(self._write_config())
        self._start_munge()
        self.start_controller()
        for number in range(1, NODES + 1):
            self.start_node(f"n{number}")
        self._until(lambda: self.states() == ["idle"] * NODES, "its nodes do not come up")

    def _write_config(self):
        port = _free_ports(NODES + 1)
        host = socket.gethostname().partition(".")[0]
        text = CONFIG.format(
            host=host, port=port, first=port + 1, last=port + NODES, user=getpass.getuser(), folder=self.folder,
            nodes=NODES,
        )  # fmt: skip
        (self.folder / "state").mkdir()
        config = self.folder / "slurm.conf"
        config.write_text(text)
        return config

    def _start_munge(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        self._start("munged", "--foreground", "--force", f"--key-file={key}", *options)
        self._until(lambda: (self.folder / "munge.socket").exists(), "munge does not start")

    def start_controller(self):
        self._start("slurmctld", "-D", "-f", os.environ["SLURM_CONF"])
        self._until(lambda: self.ask("scontrol", "ping").returncode == 0, "its controller does not answer")

    def start_node(self, name):
        self._start("slurmd", "-D", "-N", name, "-f", os.environ["SLURM_CONF"], known_as=name)

    def _start(self, program, *arguments, known_as=None):
        with (self.folder / f"{known_as or program}.out").open("ab") as out:
            self._daemons[known_as or program] = subprocess.Popen(
                [shutil.which(program, path=_path()), *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=_end_with_us,
            )  # fmt: skip

    def _until(self, condition, otherwise):
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                told = "".join((self.folder / f"{name}.out").read_text()[-500:] for name in ended)
                raise RuntimeError(f"Slurm cannot be started here: {otherwise}. {told}")
            time.sleep(0.05)

    def ask(self, *command):
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def states(self):
        told = self.ask("sinfo", "--noheader", "--Node", "--partition=main", "--format=%t").stdout.split()
        return told

    def stop_controller(self):
        self._end(self._daemons.pop("slurmctld"), signal.SIGTERM)

    def crash_node(self, name, pids):
        """What the loss of power does: the node's daemon and all that runs on it are gone at once."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self._end(self._daemons.pop(name), signal.SIGKILL)

    @staticmethod
    def _end(daemon, number):
        daemon.send_signal(number)
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def stop(self):
        """End what runs, then what ran it."""
        if "slurmctld" in self._daemons:
            self.ask("scancel", "--me")
            with contextlib.suppress(RuntimeError):
                self._until(lambda: not self.ask("squeue", "--me", "--noheader").stdout.strip(), "jobs do not end")
        order = [name for name in self._daemons if name != "munged"] + ["munged"]
        for name in order:
            if name in self._daemons:
                self._end(self._daemons.pop(name), signal.SIGTERM)


def _end_with_us():
    """In a daemon about to be: SIGTERM once the tests are gone, however they ended."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG


def _free_ports(count):
    """The first of so many ports in a row that nobody has, below those that outgoing connections take."""
    start = random.randrange(10000, 30000)
    for first in range(start, start + 2000, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError("no ports are free")


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("", port))  # as the daemons do
        except OSError:
            return False
    return True


def _path():
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
