"""The report of ``status``: servers according to the supervisor, bots according to the workers."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, Final

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.rollout.champions import alias_warnings
from kogpt2_chat.domain.rollout.states import SlotReport, WorkerState
from kogpt2_chat.errors import InvalidInput, KogptChatError
from kogpt2_chat.fleet.fleet import Fleet
from kogpt2_chat.ports import Topics
from kogpt2_chat.safety_texts import safety_texts
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.health import indexer_report
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
class PageLogin:
    """The login of Airflow's pages, or of the operators' pages.

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
class IndexerStatus:
    """The live indexer, since its start.

    Attributes:
        lag_s: age of the oldest record that is not in the search index yet, in seconds; None if it is not known.
        documents: number of documents written.
        refused: number of documents that an index refused.
        unreadable: number of records that could not be read.
        problems: why nothing is written now.
        notes: what an operator may want to do.
    """

    lag_s: float | None = None
    documents: int = 0
    refused: int = 0
    unreadable: int = 0
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


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
        operators: the login of the operators' pages.
        full_disks: one message per full disk.
        bots: one per bot; empty if Kafka is unreachable.
        safety: the vetted answers.
        indexer: the live indexer.
        kafka: the brokers.
        champions: the comparison of the aliases.
    """

    services: Sequence[Service]
    urls: Mapping[str, str]
    airflow: PageLogin
    operators: PageLogin
    full_disks: Sequence[str]
    bots: Sequence[BotStatus]
    safety: SafetyStatus
    indexer: IndexerStatus
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
        airflow=PageLogin(user=found.airflow_user, password=found.airflow_password),
        operators=PageLogin(user=found.operator_user, password=found.operator_password),
        full_disks=found.full_disks,
        bots=bots(settings) if reachable else (),
        safety=safety(settings, safety_counts(settings), datetime.now(UTC).date()),
        indexer=indexer(indexer_report(settings)),
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


def indexer(report: Mapping[str, Any]) -> IndexerStatus:
    """Return the status of the indexer.

    Args:
        report: the body of its health route; empty if it does not answer.

    Returns:
        Its lag and its counts.
    """
    if not report:
        return IndexerStatus(problems=("it does not respond",))
    sums = {name: sum(report[name].values()) for name in ("documents", "refused", "unreadable")}
    return IndexerStatus(lag_s=report["lag_s"], problems=report["problems"], notes=report["notes"], **sums)


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
    for name, login in (("Airflow", found.airflow), ("Operators'", found.operators)):
        page.line(f"{name} login: {login.user} / {login.password or 'generated at the first start'}")
    counts = ", ".join(f"{kind} {count}" for kind, count in found.safety.answers.items())
    page.line(f"Vetted answers since the workers started: {counts or 'no worker responds'}")
    page.line(_indexer_line(found.indexer))
    for note in found.indexer.notes:
        page.line(f"Indexer: {note}")
    for warning in (found.safety.warning, *found.full_disks, found.kafka.warning):
        if warning:
            page.line(f"WARNING: {warning}")
    for line in _champion_lines(found.champions):
        page.line(line)
    return page.text()


def _indexer_line(found: IndexerStatus) -> str:
    behind = "unknown" if found.lag_s is None else f"{found.lag_s:.1f} s behind"
    counts = f"{found.documents} documents, {found.refused} refused, {found.unreadable} unreadable since its start"
    problems = f"; {'; '.join(found.problems)}" if found.problems else ""
    return f"Indexer: {behind}, {counts}{problems}"


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
