"""Read which trainings are running, over HTTP with short timeouts, without importing MLflow's client library."""

from typing import Any, Final

import requests

from kogpt2_chat.adapters.mlflow_aliases import TIMEOUT_S, mlflow_session
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings

_MOST_RUNS: Final = 100


def running_trainings(settings: Settings, since_ms: int) -> frozenset[str]:
    """Return the bots that a training runs for.

    Args:
        settings: the server's address, login and experiment.
        since_ms: runs that began earlier are left out, in milliseconds since the epoch: their process has probably
            died without ending the run.

    Returns:
        The bots' ids.

    Raises:
        Unavailable: MLflow does not answer, or sends an unexpected reply.
    """
    with mlflow_session(settings) as session:
        try:
            experiment = _experiment(session, settings)
            runs = _running(session, settings.mlflow_url, experiment, since_ms) if experiment else []
            tags = [{tag["key"]: tag["value"] for tag in run["data"].get("tags", ())} for run in runs]
        except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable(
                f"MLflow at {settings.mlflow_url} did not return its runs ({type(error).__name__})"
            ) from error
    return frozenset(found["bot"] for found in tags if "bot" in found)


def _experiment(session: requests.Session, settings: Settings) -> str | None:
    """Return the id of the experiment; None before the first training."""
    reply = session.get(
        f"{settings.mlflow_url}/api/2.0/mlflow/experiments/get-by-name",
        params={"experiment_name": settings.mlflow.experiment},
        timeout=TIMEOUT_S,
        allow_redirects=False,
    )
    content: dict[str, Any] = reply.json()
    if reply.status_code == requests.codes.not_found and content["error_code"] == "RESOURCE_DOES_NOT_EXIST":
        return None
    reply.raise_for_status()
    return str(content["experiment"]["experiment_id"])


def _running(session: requests.Session, url: str, experiment: str, since_ms: int) -> list[dict[str, Any]]:
    query = {
        "experiment_ids": [experiment],
        "filter": f"attributes.status = 'RUNNING' and attributes.start_time > {since_ms}",
        "max_results": _MOST_RUNS,
    }
    reply = session.post(f"{url}/api/2.0/mlflow/runs/search", json=query, timeout=TIMEOUT_S, allow_redirects=False)
    reply.raise_for_status()
    found: list[dict[str, Any]] = reply.json().get("runs", [])
    return found
