"""Mute or ban a player, hide a chat line, or lift what applies to one of them.

Nothing is deleted. The job publishes a record of the compacted topic ``moderation``, which gateways follow; the last
record of a key counts. It neither waits for a gateway nor needs one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from kogpt2_chat.domain.chat.moderation import SANCTIONS, Action, Moderation, moderation_key, read_moderations
from kogpt2_chat.domain.chat.topics import MODERATION_TOPIC
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Outgoing, Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerateResult:
    """What was published.

    Attributes:
        action: what applies now; ``none`` if it was lifted.
        subject: the subject as the caller named it.
        keys: the keys of the published records; empty if there was nothing to lift.
        until: when it ends by itself.
        reason: why.
        by: who decided.
        at: when.
    """

    action: Action
    subject: str
    keys: tuple[str, ...]
    until: str | None
    reason: str
    by: str
    at: str


def moderate(
    *,
    action: Action,
    subject: str,
    by: str,
    topics: Topics,
    reason: str = "",
    until: datetime | None = None,
    now: datetime | None = None,
) -> ModerateResult:
    """Publish a decision. A call with the same arguments has the same effect.

    Args:
        action: ``mute`` and ``ban`` take a player, ``hide`` a chat line; ``none`` lifts everything in force.
        subject: the player's id, or the line's id.
        by: who decides.
        topics: Kafka.
        reason: why; required except for ``none``.
        until: when the decision ends by itself; None if it does not.
        now: the time; tests replace it.

    Returns:
        What was published.

    Raises:
        InvalidInput: subject or reason is missing, or ``until`` is in the past.
    """
    at, reason = now or datetime.now(UTC), reason.strip()
    if action != "none" and not reason:
        raise InvalidInput("moderating requires --reason: other operators read it in the topic `moderation`")
    if until is not None and until <= at:
        raise InvalidInput(f"--until is {until.isoformat()}, expected a time after {at.isoformat()}")
    keys = (moderation_key(action, subject),) if action != "none" else _in_force(subject, topics, at)
    ends = until.isoformat() if until else None
    records = [
        Moderation(action=action, subject=key.partition(":")[2], by=by, at=at.isoformat(), until=ends, reason=reason)
        for key in keys
    ]
    topics.send(
        [
            Outgoing(topic=MODERATION_TOPIC, key=key.encode(), value=record.to_json().encode())
            for key, record in zip(keys, records, strict=True)
        ]
    )
    return ModerateResult(
        action=action, subject=subject, keys=keys, until=ends, reason=reason, by=by, at=at.isoformat()
    )


def _in_force(subject: str, topics: Topics, now: datetime) -> tuple[str, ...]:
    """Return the keys under which something applies to the subject."""
    known = read_moderations(topics.latest_by_key(MODERATION_TOPIC))
    wanted = [moderation_key(sanction, subject) for sanction in SANCTIONS]
    return tuple(key for key in wanted if key in known and known[key].in_force(now))
