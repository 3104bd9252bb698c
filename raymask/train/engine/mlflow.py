"""A run's curves in MLflow."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask.errors import ConfigError
from raymask.storage import Folder

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from torch import Tensor

MLFLOW_RUN = "mlflow_run"
"""File of a run: MLflow's id for it, so that a run that continues stays one."""

EXPERIMENT = "raymask"
"""MLflow's experiment that the runs are in."""

_LONGEST_VALUE = 500
"""Characters of a setting that every MLflow store takes."""
_MOST_PARAMS = 100
"""Settings that MLflow takes at once."""


class MLflow:
    """A run on an MLflow server or in its database; points that it has already are not sent again.

    For MLflow cannot take back the points of lost steps, and a step that is trained again comes to the same.
    """

    def __init__(self, address: str, run: Folder, settings: Mapping[str, Any], *, resumed: bool) -> None:
        """`resumed`: whether the run goes on from a checkpoint, and so in the MLflow run of before.

        Raises:
            ConfigError: MLflow is not installed, or the address cannot be used.
            DataError: the run's id cannot be kept in the run's folder.
        """
        # Before MLflow is imported, which starts its telemetry.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # what matters comes as an exception
        # Its defaults hold a training up for minutes when the server is gone.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it announces each retry
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError:
            raise ConfigError("watch.mlflow needs MLflow; install it with: pip install 'raymask[mlflow]'") from None
        self.errors: tuple[type[Exception], ...] = (MlflowException, OSError)
        self._latest: dict[str, int] = {}
        _check_database(address)
        try:
            self._client = MlflowClient(tracking_uri=address)
            earlier = self._found(run) if resumed else None
            self._id: str = earlier or self._created(run)
            self._send_settings(settings)
        except self.errors as error:
            raise _unusable(address, error) from None
        run.write(MLFLOW_RUN, self._id.encode())

    def start(self, step: int) -> None:
        pass

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        fresh = [
            Metric(name, float(value), now, step) for name, value in values.items() if step > self._latest.get(name, -1)
        ]
        if fresh:
            self._client.log_batch(self._id, metrics=fresh)

    def distances(self, step: int, kinds: Mapping[str, Tensor], top: float) -> None:
        pass

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        pass

    def publish(self) -> None:
        pass

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")

    def abandon(self) -> None:
        pass

    def _found(self, run: Folder) -> str | None:
        """The MLflow run of before, opened again; None if there is none here, or none any more."""
        from mlflow.exceptions import MlflowException

        if not run.exists(MLFLOW_RUN):
            return None
        number = run.read(MLFLOW_RUN).decode()
        try:
            earlier = self._client.get_run(number)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if earlier.info.lifecycle_stage != "active":
            return None
        for name in earlier.data.metrics:
            self._latest[name] = max(point.step for point in self._client.get_metric_history(number, name))
        self._client.update_run(number, status="RUNNING")
        return number

    def _created(self, run: Folder) -> str:
        """A new MLflow run with the name of ours."""
        name = run.uri.rsplit("/", 1)[-1]
        return self._client.create_run(_experiment(self._client), run_name=name).info.run_id

    def _send_settings(self, settings: Mapping[str, Any]) -> None:
        """Those that MLflow does not have yet; it keeps what a setting was at first."""
        from mlflow.entities import Param

        known = self._client.get_run(self._id).data.params
        fresh = [Param(key, str(value)[:_LONGEST_VALUE]) for key, value in settings.items() if key not in known]
        for start in range(0, len(fresh), _MOST_PARAMS):
            self._client.log_batch(self._id, params=fresh[start : start + _MOST_PARAMS])


def _experiment(client: MlflowClient) -> str:
    """The id of the experiment, made if it is not there."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.create_experiment(EXPERIMENT)
        except MlflowException:  # another run may have made it in between
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return found.experiment_id


def _check_database(address: str) -> None:
    """Raise ConfigError if the address is a database that cannot be opened; MLflow would try for two minutes."""
    if not re.match(r"(sqlite|postgresql|mysql|mssql)\b", address):
        return
    if address.startswith("sqlite:///") and not address.startswith("sqlite:////"):
        raise ConfigError(
            f"watch.mlflow: {address} is relative to a folder that each worker has for itself; write it in full, "
            f"as sqlite:////FOLDER/FILE.db"
        )
    try:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        return  # then MLflow itself says what it takes to open one
    try:
        if address.startswith("sqlite:"):
            Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(address)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise _unusable(address, error) from None


def _unusable(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"watch.mlflow: {without_password(address)} cannot be used ({sentence(error)}); give the address of an "
        f"MLflow server, http://HOST:PORT, or of a database, sqlite:////FOLDER/FILE.db"
    )


def sentence(error: Exception) -> str:
    """An error's first line, its middle left out if it is long: the reason stands at the end."""
    line = without_password(str(error).partition("\n")[0])
    return line if len(line) <= 200 else f"{line[:100].rstrip()} ... {line[-100:].lstrip()}"


def without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)
