"""List which players are muted or banned, and which chat lines are hidden."""

from dataclasses import dataclass
from datetime import UTC, datetime

from kogpt2_chat.domain.chat.moderation import Moderation, read_moderations
from kogpt2_chat.domain.chat.topics import MODERATION_TOPIC
from kogpt2_chat.ports import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class ListModerationsResult:
    """The decisions in force, newest first."""

    moderations: tuple[Moderation, ...]


def list_moderations(*, topics: Topics, now: datetime | None = None) -> ListModerationsResult:
    """List the decisions in force, newest first.

    Args:
        topics: Kafka.
        now: the time; tests replace it.

    Returns:
        The decisions.
    """
    at = now or datetime.now(UTC)
    known = read_moderations(topics.latest_by_key(MODERATION_TOPIC)).values()
    found = sorted((one for one in known if one.in_force(at)), key=lambda one: one.at, reverse=True)
    return ListModerationsResult(moderations=tuple(found))
