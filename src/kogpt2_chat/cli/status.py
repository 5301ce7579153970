"""The report of ``status``: servers as the supervisor sees them, bots as the workers report them."""

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import WORKER_TOPIC
from kogpt2_chat.domain.rollout.champions import alias_warnings
from kogpt2_chat.domain.rollout.liveness import LivenessTracker
from kogpt2_chat.domain.rollout.states import HEARTBEAT_S, SlotReport, WorkerState
from kogpt2_chat.errors import InvalidInput, InvalidMessage, KogptChatError
from kogpt2_chat.fleet.fleet import Fleet
from kogpt2_chat.ports import Topics
from kogpt2_chat.safety_texts import safety_texts
from kogpt2_chat.settings import Settings
from kogpt2_chat.terminal_page import TerminalPage

POLL_S: Final = 0.25
NOT_COMPARED: Final[Mapping[str, object]] = {"compared": False, "warnings": []}


def report(settings: Settings) -> dict[str, object]:
    """Collect the state of a stack.

    Args:
        settings: the stack's settings.

    Returns:
        ``services``, ``bots``, ``urls``, ``airflow`` (its login), ``full_disks``, ``safety``, ``kafka`` (its
        ``warning``) and ``champions``.
    """
    from kogpt2_chat.stack.status import safety_counts, status

    found = status(settings)
    healthy = {service.name for service in found.services if service.healthy}
    reachable = bool(settings.kafka.bootstrap) or "kafka" in healthy
    registered = bool(settings.mlflow.tracking_uri) or "mlflow" in healthy
    return {
        **found.as_json(),
        "bots": bots(settings) if reachable else [],
        "safety": safety(settings, safety_counts(settings), datetime.now(UTC).date()),
        "kafka": {"warning": bootstrap.kafka_warning(settings) if reachable else None},
        "champions": champions(settings) if reachable and registered else NOT_COMPARED,
    }


def safety(settings: Settings, counts: Mapping[str, int], today: date) -> dict[str, object]:
    """Report how many vetted answers were sent, and whether their texts need a new check.

    Args:
        settings: names the file with the texts.
        counts: number of answers by kind.
        today: date against which the age of the last check is computed.

    Returns:
        ``answers`` by kind, ``checked_on`` (None if the texts cannot be read) and ``warning``.
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
    """Return the state of each bot from its live workers: that of its worst slot."""
    try:
        workers = _live(bootstrap.topics(settings))
    except KogptChatError:
        return []
    return [_bot(bot, workers) for bot in BOT_IDS]


def champions(settings: Settings) -> Mapping[str, object]:
    """Compare MLflow's aliases `champion` with the versions in `rollout_state`, using a short timeout for MLflow.

    Args:
        settings: the stack's settings.

    Returns:
        ``compared`` (False if MLflow or Kafka is unreachable) and ``warnings``.
    """
    try:
        aliases = bootstrap.aliases(settings, "champion", BOT_IDS)
        published = published_champions(bootstrap.topics(settings), settings)
    except KogptChatError:
        return NOT_COMPARED
    return {"compared": True, "warnings": alias_warnings(published, aliases)}


def published_champions(topics: Topics, settings: Settings) -> dict[str, int | None]:
    """Return the champion in `rollout_state` by bot; None for a bot without a rollout."""
    workers = Fleet(topics=topics, settings=settings, progress=lambda _: None)
    return {bot: workers.effective_state(bot)[0].champion for bot in BOT_IDS}


def table(facts: Mapping[str, object]) -> str:
    """Format the report for a terminal."""
    page = TerminalPage(width=110)
    _add(page, "Services", facts["services"], ("name", "pid", "port", "healthy", "detail"))
    _add(page, "Bots", facts["bots"], ("bot", "version", "epoch", "state", "detail"))
    page.table("Pages", ("page", "url"), _items(facts["urls"]))
    login = dict(_items(facts["airflow"]))
    page.line(f"Airflow login: {login.get('user')} / {login.get('password') or 'generated at the first start'}")
    page.line(_safety_line(dict(_items(facts["safety"]))))
    full_disks, kafka = facts.get("full_disks"), dict(_items(facts.get("kafka")))
    for warning in (*(full_disks if isinstance(full_disks, list) else ()), kafka.get("warning")):
        if warning:
            page.line(f"WARNING: {warning}")
    for line in _champion_lines(dict(_items(facts.get("champions")))):
        page.line(line)
    return page.text()


def _safety_line(found: Mapping[str, object]) -> str:
    counts = ", ".join(f"{kind} {count}" for kind, count in _items(found.get("answers")))
    line = f"Vetted answers since the workers started: {counts or 'no worker responds'}"
    return line if found.get("warning") is None else f"{line}\nWARNING: {found['warning']}"


def _champion_lines(found: Mapping[str, object]) -> list[str]:
    if found.get("compared") is False:
        return ["MLflow's aliases were not compared with the published versions: MLflow or Kafka is unreachable"]
    warnings = found.get("warnings")
    return [f"WARNING: {warning}" for warning in warnings] if isinstance(warnings, list) else []


def _live(topics: Topics) -> list[WorkerState]:
    """Return the workers whose heartbeat arrives within one heartbeat interval."""
    call, deadline_s = LivenessTracker(), time.monotonic() + HEARTBEAT_S + 1
    while True:
        roll = call.look(_workers(topics), time.monotonic())
        if not roll.perhaps_alive or time.monotonic() >= deadline_s:
            return list(roll.live)
        time.sleep(POLL_S)


def _workers(topics: Topics) -> list[WorkerState]:
    workers = []
    for value in topics.latest_by_key(WORKER_TOPIC).values():
        try:
            workers.append(WorkerState.from_json(value))
        except InvalidMessage:  # a heartbeat in another release's format
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


def _add(page: TerminalPage, title: str, rows: object, columns: tuple[str, ...]) -> None:
    found = rows if isinstance(rows, list) else []
    page.table(title, columns, [[row.get(column) for column in columns] for row in found])
