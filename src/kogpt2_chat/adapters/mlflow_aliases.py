"""A quick look at the registry's aliases, for whoever can wait neither for MLflow's client library nor for MLflow."""

from typing import Any, Final

import requests

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings

LOOK_S: Final = 2.0
"""To connect, and between two bytes of an answer."""


def alias_by_bot(settings: Settings, alias: str, bots: tuple[str, ...]) -> dict[str, int | None]:
    """The version that an alias names, for each bot; asked once, without a retry.

    Args:
        settings: which server.
        alias: the alias.
        bots: whose.

    Returns:
        None for a bot that is not registered or has no such alias.

    Raises:
        Unavailable: MLflow does not answer, or answers something else.
    """
    with requests.Session() as session:
        if settings.mlflow.username:
            session.auth = (settings.mlflow.username, settings.mlflow.password.get_secret_value())
        return {bot: _version(session, settings.mlflow_url, alias, bot) for bot in bots}


def _version(session: requests.Session, url: str, alias: str, bot: str) -> int | None:
    address = f"{url}/api/2.0/mlflow/registered-models/get"
    try:
        reply = session.get(address, params={"name": bot}, timeout=LOOK_S, allow_redirects=False)
        content: dict[str, Any] = reply.json()
        if reply.status_code == requests.codes.not_found and content["error_code"] == "RESOURCE_DOES_NOT_EXIST":
            return None
        reply.raise_for_status()
        found = content["registered_model"].get("aliases", ())
        return next((int(one["version"]) for one in found if one["alias"] == alias), None)
    except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"MLflow at {url} did not say its aliases ({type(error).__name__})") from error
