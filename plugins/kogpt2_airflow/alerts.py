"""Alert an operator that a run has failed or is late: always in the log, and to a webhook if one is configured.

Airflow calls the callbacks: for a failed run in the DAG processor, for a missed deadline in the triggerer.
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
    """Alert that a run failed, with its task and the reason.

    Args:
        context: Airflow's context with ``dag`` and ``run_id``, and ``reason`` and ``ti`` if available.
    """
    task = getattr(context.get("ti"), "task_id", None)
    where = f" at task {task}" if task else ""
    send_alert(f"{_name(context)} failed{where}: {context.get('reason') or 'see its log'}")


async def deadline_missed(context: Mapping[str, Any], **_: Any) -> None:
    """Alert that a run has not finished by its deadline.

    Args:
        context: Airflow's context.
    """
    run = context.get("dag_run") or {}
    found = run if isinstance(run, Mapping) else vars(run)
    name = f"{found.get('dag_id', 'a DAG')} run {found.get('run_id') or found.get('dag_run_id') or '?'}"
    await asyncio.to_thread(send_alert, f"{name} has not finished by its deadline")


def send_alert(sentence: str) -> None:
    """Log a sentence, and post it as ``{"text": ...}`` if the settings name a webhook.

    If the webhook does not respond with valid HTTP, the error is only logged, so that the callback itself never fails.
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
        # The address is secret, since it may contain a key, and some errors quote it.
        _LOG.error("operator alert: posting to the webhook failed: %s", type(error).__name__)


def _name(context: Mapping[str, Any]) -> str:
    dag = getattr(context.get("dag"), "dag_id", "a DAG")
    return f"{dag} run {context.get('run_id', '?')}"
