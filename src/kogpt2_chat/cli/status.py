"""What ``status`` reports: the servers as the stack sees them, the bots as their workers see them."""

import io
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.bots import BOT_IDS
from kogpt2_chat.domain.roll_call import RollCall
from kogpt2_chat.domain.rollout import HEARTBEAT_S, SlotReport, WorkerState
from kogpt2_chat.domain.topics import WORKER_TOPIC
from kogpt2_chat.errors import InvalidInput, InvalidMessage, KogptChatError
from kogpt2_chat.jobs.safety_texts import safety_texts
from kogpt2_chat.ports import Topics
from kogpt2_chat.settings import Settings

LOOK_EVERY_S: Final = 0.25


def report(settings: Settings) -> dict[str, object]:
    """Everything about a stack that a person asks first.

    Args:
        settings: which stack.

    Returns:
        ``services``, ``bots``, ``urls``, ``airflow`` (who may log in), ``safety`` and ``kafka`` (its ``warning``).
    """
    from kogpt2_chat.stack.status import safety_counts, status

    found = status(settings)
    broker = next((service for service in found.services if service.name == "kafka"), None)
    reachable = bool(settings.kafka.bootstrap) or (broker is not None and broker.healthy)
    return {
        **found.as_json(),
        "bots": bots(settings) if reachable else [],
        "safety": safety(settings, safety_counts(settings), datetime.now(UTC).date()),
        "kafka": {"warning": bootstrap.kafka_warning(settings) if reachable else None},
    }


def safety(settings: Settings, counts: Mapping[str, int], today: date) -> dict[str, object]:
    """The vetted answers: how many were given, and whether somebody must look at their texts.

    Args:
        settings: which texts.
        counts: answers by kind.
        today: what their age is counted to.

    Returns:
        ``answers`` by kind, ``checked_on`` (None where the texts cannot be read) and ``warning``.
    """
    try:
        texts = safety_texts(settings)
    except InvalidInput as error:
        return {"answers": dict(counts), "checked_on": None, "warning": str(error)}
    return {
        "answers": dict(counts),
        "checked_on": texts.checked_on.isoformat(),
        "warning": texts.warning(today),
    }


def bots(settings: Settings) -> list[dict[str, object]]:
    """Each bot as its live workers report it; the worst slot counts."""
    try:
        workers = _live(bootstrap.topics(settings))
    except KogptChatError:
        return []
    return [_bot(bot, workers) for bot in BOT_IDS]


def table(facts: Mapping[str, object]) -> str:
    """The report for a terminal."""
    page = io.StringIO()
    console = Console(file=page, width=110, force_terminal=False)
    console.print(_table("Services", facts["services"], ("name", "pid", "port", "healthy", "detail")))
    console.print(_table("Bots", facts["bots"], ("bot", "version", "epoch", "state", "detail")))
    console.print(_table("Pages", [{"page": name, "url": url} for name, url in _items(facts["urls"])], ("page", "url")))
    login = dict(_items(facts["airflow"]))
    console.print(f"Airflow login: {login.get('user')} / {login.get('password') or 'made at first start'}")
    console.print(_safety_line(dict(_items(facts["safety"]))))
    if warning := dict(_items(facts.get("kafka"))).get("warning"):
        console.print(f"WARNING: {warning}")
    return page.getvalue()


def _safety_line(found: Mapping[str, object]) -> str:
    counts = ", ".join(f"{kind} {count}" for kind, count in _items(found.get("answers")))
    line = f"Vetted answers since the workers started: {counts or 'no worker answers'}"
    return line if found.get("warning") is None else f"{line}\nWARNING: {found['warning']}"


def _live(topics: Topics) -> list[WorkerState]:
    """Whoever is heard of within a heartbeat's time."""
    call, deadline_s = RollCall(), time.monotonic() + HEARTBEAT_S + 1
    while True:
        roll = call.look(_workers(topics), time.monotonic())
        if not roll.perhaps_alive or time.monotonic() >= deadline_s:
            return list(roll.live)
        time.sleep(LOOK_EVERY_S)


def _workers(topics: Topics) -> list[WorkerState]:
    workers = []
    for value in topics.latest_by_key(WORKER_TOPIC).values():
        try:
            workers.append(WorkerState.from_json(value))
        except InvalidMessage:  # another version's heartbeat: not a worker that we can describe
            continue
    return workers


def _bot(bot: str, workers: list[WorkerState]) -> dict[str, object]:
    order = ("degraded", "loading", "ready")
    slots: list[tuple[SlotReport, int]] = [
        (slot, worker.epoch_by_bot.get(bot, 0)) for worker in workers for slot in worker.slots if slot.bot == bot
    ]
    if not slots:
        return {"bot": bot, "version": 0, "epoch": 0, "state": "no live worker", "detail": ""}
    slot, epoch = min(slots, key=lambda pair: order.index(pair[0].state))
    return {"bot": bot, "version": slot.version, "epoch": epoch, "state": slot.state, "detail": slot.detail}


def _items(found: object) -> list[tuple[str, object]]:
    return list(found.items()) if isinstance(found, Mapping) else []


def _table(title: str, rows: object, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows if isinstance(rows, list) else []:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    return table
