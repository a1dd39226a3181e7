"""MLflow: the server of MLFLOW_TRACKING_URI, or without one a file store beside the runs. mlflow-skinny is enough."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice

# A server that is away should be found out within the time that a tracker is given.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# MLflow 3 asks for this word before it writes files, which need no server and no database.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from s3tui.tracking.registry import About

BATCH = 1000  # metrics in one request, MLflow's limit
PARAMS, LONGEST = 100, 6000  # parameters in one request and characters in one of them, likewise


class MLflow:
    """One run; MLflow has no histograms, so the gates are seen in the picture alone."""

    def __init__(self, about: About) -> None:
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or (about.store / ".mlflow").as_uri())
        self.known_as = about.known_as or self._new(about)
        self._client.update_run(self.known_as, status="RUNNING")
        self._folder = about.folder
        self._told: list[Metric] = []

    def _new(self, about: About) -> str:
        experiment = self._client.get_experiment_by_name(about.project)
        number = experiment.experiment_id if experiment else self._client.create_experiment(about.project)
        known_as = str(self._client.create_run(number, run_name=about.name).info.run_id)
        params = (Param(key, str(value)[:LONGEST]) for key, value in about.settings.items())
        while some := list(islice(params, PARAMS)):
            self._client.log_batch(known_as, params=some)
        return known_as

    def scalars(self, values: Mapping[str, float], step: int, t: float) -> None:
        """Kept until they are flushed, many in one request."""
        self._told += [Metric(name, value, int(t * 1000), step) for name, value in values.items()]

    def histogram(self, name: str, values: list[float], step: int, t: float) -> None:
        """MLflow cannot hold it."""

    def picture(self, name: str, png: bytes, step: int, t: float) -> None:
        """As an artifact of its name."""
        folder, _, file = name.rpartition("/")
        path = self._folder / f"{file}.png"
        path.write_bytes(png)
        self._client.log_artifact(self.known_as, str(path), folder)

    def flush(self) -> None:
        """Send what was told."""
        for begin in range(0, len(self._told), BATCH):
            self._client.log_batch(self.known_as, metrics=self._told[begin : begin + BATCH])
        self._told = []

    def close(self, ok: bool) -> None:
        """Say how the run ended."""
        self.flush()
        self._client.set_terminated(self.known_as, "FINISHED" if ok else "FAILED")


def open_run(about: About) -> MLflow:
    """A new run, or the one that is known already."""
    return MLflow(about)
