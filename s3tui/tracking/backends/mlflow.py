"""The MLflow tracker: logs to MLFLOW_TRACKING_URI, or to a file store in the workspace. mlflow-skinny is sufficient."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice

# An unreachable server should be noticed within the time that a tracker may take.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# MLflow 3 requires this variable for its file store, which needs no server and no database.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from s3tui.tracking.registry import About

BATCH = 1000  # metrics in one request, MLflow's limit
PARAMS, LONGEST = 100, 6000  # parameters in one request and characters in one of them, likewise


class MLflow:
    """One run in MLflow; it has no histograms, so the gates appear only in the picture."""

    def __init__(self, about: About) -> None:
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or (about.store / ".mlflow").as_uri())
        self.known_as = about.known_as or self._new(about)
        self._client.update_run(self.known_as, status="RUNNING")
        self._folder = about.folder
        self._unsent: list[Metric] = []

    def _new(self, about: About) -> str:
        experiment = self._client.get_experiment_by_name(about.project)
        number = experiment.experiment_id if experiment else self._client.create_experiment(about.project)
        known_as = str(self._client.create_run(number, run_name=about.name).info.run_id)
        params = (Param(key, str(value)[:LONGEST]) for key, value in about.settings.items())
        while some := list(islice(params, PARAMS)):
            self._client.log_batch(known_as, params=some)
        return known_as

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """Collect values until `flush`, which sends many in one request."""
        self._unsent += [Metric(name, value, int(t * 1000), step) for name, value in values.items()]

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """Does nothing, as MLflow has no histograms."""

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """Store the picture as an artifact of this name."""
        folder, _, file = name.rpartition("/")
        path = self._folder / f"{file}.png"
        path.write_bytes(png)
        self._client.log_artifact(self.known_as, str(path), folder)

    def flush(self) -> None:
        """Send the collected values."""
        for begin in range(0, len(self._unsent), BATCH):
            self._client.log_batch(self.known_as, metrics=self._unsent[begin : begin + BATCH])
        self._unsent = []

    def close(self, ok: bool) -> None:
        """Set the final status of the run."""
        self.flush()
        self._client.set_terminated(self.known_as, "FINISHED" if ok else "FAILED")


def open_run(about: About) -> MLflow:
    """Start a run, or resume the known one."""
    return MLflow(about)
