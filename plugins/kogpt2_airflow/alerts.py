"""Tell an operator that a run has failed or is late: always in the log, and to a webhook where one is set.

The callbacks are called by Airflow: a failed run's in the DAG processor, a missed deadline's in the triggerer.
"""

import asyncio
import http.client
import json
import logging
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from kogpt2_chat.settings import load_settings

TIMEOUT_S: Final = 10.0
_LOG: Final = logging.getLogger(__name__)


def run_failed(context: Mapping[str, Any]) -> None:
    """Say which run failed, at which task and why.

    Args:
        context: Airflow's, with ``dag`` and ``run_id``; ``reason`` and ``ti`` where it has them.
    """
    task = getattr(context.get("ti"), "task_id", None)
    where = f" at task {task}" if task else ""
    tell(f"{_name(context)} failed{where}: {context.get('reason') or 'see its log'}")


async def deadline_missed(context: Mapping[str, Any], **_: Any) -> None:
    """Say which run is not finished in its time.

    Args:
        context: Airflow's.
    """
    run = context.get("dag_run") or {}
    found = run if isinstance(run, Mapping) else vars(run)
    name = f"{found.get('dag_id', 'a DAG')} run {found.get('run_id') or found.get('dag_run_id') or '?'}"
    await asyncio.to_thread(tell, f"{name} has not finished by its deadline")


def tell(sentence: str) -> None:
    """Log a sentence, and post it as ``{"text": ...}`` where the settings name an address.

    A webhook that does not answer, or with something that is no HTTP, is logged and changes nothing else: it must not
    make a second failure of the first.
    """
    _LOG.error("operator alert: %s", sentence)
    address = load_settings().airflow.alert_webhook.get_secret_value()
    if not address:
        return
    try:
        body = json.dumps({"text": f"KoGPT2 chat: {sentence}"}, ensure_ascii=False).encode()
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - checked
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - http(s) only, see the setting
            pass
    except (OSError, ValueError, http.client.HTTPException) as error:
        # The address is a secret: services put their key into it, and some errors repeat it.
        _LOG.error("operator alert: the webhook did not take it: %s", type(error).__name__)


def _name(context: Mapping[str, Any]) -> str:
    dag = getattr(context.get("dag"), "dag_id", "a DAG")
    return f"{dag} run {context.get('run_id', '?')}"
