"""Records of jobs as version 0.1 wrote them: with the cluster's own states alone, which are read here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.run.fields import Count
from s3tui.runs.records.job_id import JobId

SUBMITTING = "SUBMITTING"  # ours: the job has been submitted and has no id yet
# Codes of the states of jobs, as the cluster's manual has them.
_WAITING = frozenset(
    {SUBMITTING, "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
_WORKING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"})
_ENDS: dict[str, tuple[Literal["cancelled", "restart", "crash", "out-of-memory"], str]] = {
    "CANCELLED": ("cancelled", "its job was cancelled outside s3tui"),
    "NODE_FAIL": ("restart", "a node of its job failed"),
    "BOOT_FAIL": ("restart", "the node of its job did not start"),
    "PREEMPTED": ("restart", "its job was preempted"),
    "REVOKED": ("restart", "its job went to another cluster"),
    "TIMEOUT": ("crash", "its job ran out of time before it could leave a checkpoint"),
    "DEADLINE": ("crash", "the deadline of its job was over"),
    "OUT_OF_MEMORY": ("out-of-memory", "killed: its job used more memory than it asked for"),
}


@dataclass(frozen=True)
class FormerJob:
    """A task of a job array; `exit_code` has the signal behind a colon."""

    batch: str
    task: Count
    id: JobId = ""
    state: str = SUBMITTING
    reason: str = ""
    node: str = ""
    exit_code: str = ""
    restarts: Count = 0
    held: bool = False

    def fields(self) -> dict[str, Any]:
        """The same as fields of `Job`, but for its launcher."""
        return asdict(self) | meaning(self.state)


def meaning(state: str) -> dict[str, Any]:
    """What a state amounts to: the fields `phase`, `end` and `manner` of `Job`."""
    if state in _WAITING or state in _WORKING:
        return {"phase": "waiting" if state in _WAITING else "working", "end": "", "manner": ""}
    end, manner = _ENDS.get(state, ("", ""))
    return {"phase": "ended", "end": end, "manner": manner}
