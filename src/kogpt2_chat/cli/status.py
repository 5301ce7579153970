"""The report of ``status``: servers according to the supervisor, bots according to the workers."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime
from typing import Final

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.rollout.champions import alias_warnings
from kogpt2_chat.domain.rollout.states import SlotReport, WorkerState
from kogpt2_chat.errors import InvalidInput, KogptChatError
from kogpt2_chat.fleet.fleet import Fleet
from kogpt2_chat.ports import Topics
from kogpt2_chat.safety_texts import safety_texts
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.status import Service, safety_counts
from kogpt2_chat.stack.status import status as stack_status
from kogpt2_chat.terminal_page import TerminalPage

_STATES: Final = ("degraded", "loading", "ready")
"""States of a slot, the worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotStatus:
    """The state of a bot: that of its worst slot.

    Attributes:
        bot: the bot.
        version: version in the slot; 0 for none.
        epoch: rollout epoch that the worker follows.
        state: state of the slot, or ``no live worker``.
        detail: why the slot is in this state.
    """

    bot: str
    version: int
    epoch: int
    state: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowLogin:
    """The login of Airflow's pages.

    Attributes:
        user: user name.
        password: None before the first start, which generates it.
    """

    user: str
    password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyStatus:
    """The vetted answers.

    Attributes:
        answers: number of answers sent, by kind.
        checked_on: date of the last check of the texts; None if they cannot be read.
        warning: what is wrong with the texts; None if nothing.
    """

    answers: Mapping[str, int]
    checked_on: str | None
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaStatus:
    """The brokers.

    Attributes:
        warning: what an operator has to change on them; None if nothing.
    """

    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionStatus:
    """MLflow's aliases `champion` compared with the versions in `rollout_state`.

    Attributes:
        compared: False if MLflow or Kafka is unreachable.
        warnings: one sentence per difference.
    """

    compared: bool
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """The state of a stack, as ``status --json`` prints it.

    Attributes:
        services: one per server.
        urls: addresses of the servers' pages, by name.
        airflow: the login of Airflow's pages.
        full_disks: one message per full disk.
        bots: one per bot; empty if Kafka is unreachable.
        safety: the vetted answers.
        kafka: the brokers.
        champions: the comparison of the aliases.
    """

    services: Sequence[Service]
    urls: Mapping[str, str]
    airflow: AirflowLogin
    full_disks: Sequence[str]
    bots: Sequence[BotStatus]
    safety: SafetyStatus
    kafka: KafkaStatus
    champions: ChampionStatus


NOT_COMPARED: Final = ChampionStatus(compared=False, warnings=())


def report(settings: Settings) -> StatusReport:
    """Collect the state of a stack."""
    found = stack_status(settings)
    healthy = {service.name for service in found.services if service.healthy}
    reachable = bool(settings.kafka.bootstrap) or "kafka" in healthy
    registered = bool(settings.mlflow.tracking_uri) or "mlflow" in healthy
    return StatusReport(
        services=found.services,
        urls=found.urls,
        airflow=AirflowLogin(user=found.airflow_user, password=found.airflow_password),
        full_disks=found.full_disks,
        bots=bots(settings) if reachable else (),
        safety=safety(settings, safety_counts(settings), datetime.now(UTC).date()),
        kafka=KafkaStatus(warning=bootstrap.kafka_warning(settings) if reachable else None),
        champions=champions(settings) if reachable and registered else NOT_COMPARED,
    )


def safety(settings: Settings, counts: Mapping[str, int], today: date) -> SafetyStatus:
    """Report how many vetted answers were sent, and whether their texts need a new check.

    Args:
        settings: the path of the file with the texts.
        counts: number of answers by kind.
        today: today's date, to compute the age of the last check.

    Returns:
        The counts, the date of the last check, and a warning.
    """
    try:
        texts = safety_texts(settings)
    except InvalidInput as error:
        return SafetyStatus(answers=counts, checked_on=None, warning=str(error))
    return SafetyStatus(answers=counts, checked_on=texts.checked_on.isoformat(), warning=texts.warning(today))


def bots(settings: Settings) -> list[BotStatus]:
    """Return the state of each bot from its live workers: that of its worst slot."""
    try:
        workers = _fleet(bootstrap.topics(settings), settings).live_workers()
    except KogptChatError:
        return []
    return [_bot(bot, workers) for bot in BOT_IDS]


def champions(settings: Settings) -> ChampionStatus:
    """Compare MLflow's aliases `champion` with the versions in `rollout_state`, using a short timeout for MLflow.

    Args:
        settings: the stack's settings.

    Returns:
        The differences.
    """
    try:
        aliases = bootstrap.aliases(settings, "champion", BOT_IDS)
        published = published_champions(bootstrap.topics(settings), settings)
    except KogptChatError:
        return NOT_COMPARED
    return ChampionStatus(compared=True, warnings=alias_warnings(published, aliases))


def published_champions(topics: Topics, settings: Settings) -> dict[str, int | None]:
    """Return the champion in `rollout_state` by bot; None for a bot without a rollout."""
    fleet = _fleet(topics, settings)
    return {bot: fleet.effective_state(bot)[0].champion for bot in BOT_IDS}


def table(found: StatusReport) -> str:
    """Format the report for a terminal."""
    page = TerminalPage(width=110)
    page.table("Services", [field.name for field in fields(Service)], map(astuple, found.services))
    page.table("Bots", [field.name for field in fields(BotStatus)], map(astuple, found.bots))
    page.table("Pages", ("page", "url"), found.urls.items())
    page.line(f"Airflow login: {found.airflow.user} / {found.airflow.password or 'generated at the first start'}")
    counts = ", ".join(f"{kind} {count}" for kind, count in found.safety.answers.items())
    page.line(f"Vetted answers since the workers started: {counts or 'no worker responds'}")
    for warning in (found.safety.warning, *found.full_disks, found.kafka.warning):
        if warning:
            page.line(f"WARNING: {warning}")
    for line in _champion_lines(found.champions):
        page.line(line)
    return page.text()


def _champion_lines(found: ChampionStatus) -> list[str]:
    if not found.compared:
        return ["MLflow's aliases were not compared with the published versions: MLflow or Kafka is unreachable"]
    return [f"WARNING: {warning}" for warning in found.warnings]


def _fleet(topics: Topics, settings: Settings) -> Fleet:
    return Fleet(topics=topics, settings=settings, progress=lambda _: None)


def _bot(bot: str, workers: Sequence[WorkerState]) -> BotStatus:
    slots: list[tuple[SlotReport, int]] = [
        (slot, worker.epoch_by_bot.get(bot, 0)) for worker in workers for slot in worker.slots if slot.bot == bot
    ]
    if not slots:
        return BotStatus(bot=bot, version=0, epoch=0, state="no live worker", detail="")
    slot, epoch = min(slots, key=lambda pair: _STATES.index(pair[0].state))
    return BotStatus(bot=bot, version=slot.version, epoch=epoch, state=slot.state, detail=slot.detail)
