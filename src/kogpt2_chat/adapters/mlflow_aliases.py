"""Read the registry's aliases over HTTP with short timeouts, without importing MLflow's client library."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import requests

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings

TIMEOUT_S: Final = 2.0
"""Timeout for connecting, and between two received bytes of a reply."""


def alias_by_bot(settings: Settings, alias: str, bots: tuple[str, ...]) -> dict[str, int | None]:
    """Return the version that an alias points to, by bot. One request per bot, without retries.

    Args:
        settings: the server's address and login.
        alias: the alias.
        bots: the bots' ids.

    Returns:
        The version number by bot; None for a bot that is not registered or does not have the alias.

    Raises:
        Unavailable: MLflow does not answer, or sends an unexpected reply.
    """
    with mlflow_session(settings) as session:
        return {bot: _version(session, settings.mlflow_url, alias, bot) for bot in bots}


@contextmanager
def mlflow_session(settings: Settings) -> Iterator[requests.Session]:
    """Yield a session with the login of the settings."""
    with requests.Session() as session:
        if settings.mlflow.username:
            session.auth = (settings.mlflow.username, settings.mlflow.password.get_secret_value())
        yield session


def _version(session: requests.Session, url: str, alias: str, bot: str) -> int | None:
    address = f"{url}/api/2.0/mlflow/registered-models/get"
    try:
        reply = session.get(address, params={"name": bot}, timeout=TIMEOUT_S, allow_redirects=False)
        content: dict[str, Any] = reply.json()
        if reply.status_code == requests.codes.not_found and content["error_code"] == "RESOURCE_DOES_NOT_EXIST":
            return None
        reply.raise_for_status()
        found = content["registered_model"].get("aliases", ())
        return next((int(one["version"]) for one in found if one["alias"] == alias), None)
    except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"MLflow at {url} did not return its aliases ({type(error).__name__})") from error
