"""The messages of a rollout in both directions, and the rules for their epochs.

The rollout jobs write ``rollout_state`` (key: bot) and every worker reads it. Workers write ``worker_state`` (key:
worker), their heartbeat, and the jobs read it. This module does not depend on Kafka, the registry or a clock.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal, get_args

from kogpt2_chat.domain.text.json_records import check_fields, read_object
from kogpt2_chat.errors import InvalidMessage

Phase = Literal["steady", "shadow", "canary"]
SlotState = Literal["loading", "ready", "degraded"]

HEARTBEAT_S: Final = 3.0
"""Interval at which a worker sends its heartbeat when nothing has changed."""


@dataclass(frozen=True, slots=True)
class VersionKey:
    """Identifies a version. The number alone is ambiguous: after the loss of the registry, numbers start at 1 again.

    Attributes:
        number: number of the registered version.
        digest: SHA-256 of its ``model.json``; empty if unknown.
    """

    number: int
    digest: str = ""

    def is_same(self, other: "VersionKey | None") -> bool:
        """Check whether both keys mean the same version. An unknown digest matches any digest."""
        if other is None or self.number != other.number:
            return False
        return self.digest == other.digest or not (self.digest and other.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """The state of one bot that all workers follow: the version to serve, and whether the bot is muted.

    Attributes:
        bot: the bot.
        epoch: the rollout epoch. Each publication for this bot has a higher one; a lower or equal one is stale.
        champion: the version to serve; None while the bot has none.
        digest: SHA-256 of that version's ``model.json``, since version numbers start at 1 again if the registry is
            lost. Empty if unknown, as in states of earlier releases; then only the number counts.
        previous: the champion before this one; workers keep its files.
        earlier: the champion before ``previous``. A rollback during a rollout returns to it.
        candidate: unused.
        phase: always ``steady``; the other values are reserved.
        percent: unused.
        muted: whether questions are answered with a fixed notice.
        reason: why the state was published.
        by: who asked for the publication.
        at: RFC 3339 time of publication.
    """

    bot: str
    epoch: int
    champion: int | None
    digest: str = ""
    previous: int | None = None
    earlier: int | None = None
    candidate: int | None = None
    phase: Phase = "steady"
    percent: int = 100
    muted: bool = False
    reason: str = ""
    by: str = ""
    at: str = ""
    v: int = 1

    @property
    def key(self) -> VersionKey | None:
        """The version to serve; None while the bot has none."""
        return None if self.champion is None else VersionKey(self.champion, self.digest)

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "RolloutState":
        """Read a record of ``rollout_state``; unknown fields are ignored.

        Args:
            text: the record's value.

        Returns:
            The state.

        Raises:
            InvalidMessage: not JSON, or a field is missing or of a wrong type.
        """
        body = read_object(text, "rollout_state")
        check_fields(
            body,
            "rollout_state",
            {"bot": str, "epoch": int},
            {"champion": int, "previous": int, "earlier": int, "candidate": int, "percent": int, "muted": bool},
        )
        phase = body.get("phase", "steady")
        if phase not in get_args(Phase):
            raise InvalidMessage("schema", f"rollout_state: `phase` is {phase!r}, expected one of {get_args(Phase)}")
        return cls(
            bot=body["bot"],
            epoch=body["epoch"],
            champion=body.get("champion"),
            digest=str(body.get("digest") or ""),
            previous=body.get("previous"),
            earlier=body.get("earlier"),
            candidate=body.get("candidate"),
            phase=phase,
            percent=body.get("percent", 100),
            muted=body.get("muted") or False,
            reason=str(body.get("reason") or ""),
            by=str(body.get("by") or ""),
            at=str(body.get("at") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReport:
    """What one slot of a worker serves.

    Attributes:
        bot: the slot's bot.
        version: the version that answers now; 0 if none does.
        state: ``loading`` while the target version loads, ``ready`` once it answers, ``degraded`` if it did not load or
            the bot has none.
        detail: explanation for people, for example why the slot is degraded.
        form: the form in which the serving engine computes it (:mod:`kogpt2_chat.artifact.forms`); empty if no version
            answers, on the reference engine, and from workers of earlier releases.
        muted: whether the bot's questions are answered with the fixed notice; None from workers of earlier releases.
    """

    bot: str
    version: int
    state: SlotState
    detail: str = ""
    form: str = ""
    muted: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker's heartbeat.

    Attributes:
        worker: ``worker-N``; N is the worker's ordinal.
        epoch_by_bot: the rollout epoch that each slot has acted on, successfully or not.
        slots: the report of each slot.
        at: RFC 3339 time of the heartbeat, on the worker's clock.
    """

    worker: str
    epoch_by_bot: Mapping[str, int]
    slots: tuple[SlotReport, ...]
    at: str
    v: int = 1

    def to_json(self) -> str:
        """Return one line of JSON."""
        body = asdict(self)
        return json.dumps(body, ensure_ascii=False)

    def slot(self, bot: str) -> SlotReport | None:
        """Return the report of one bot's slot; None if the worker has none."""
        return next((slot for slot in self.slots if slot.bot == bot), None)

    @classmethod
    def from_json(cls, text: str | bytes) -> "WorkerState":
        """Read a record of ``worker_state``; unknown fields are ignored.

        Args:
            text: the record's value.

        Returns:
            The state.

        Raises:
            InvalidMessage: not JSON, or a field is missing or of a wrong type.
        """
        body = read_object(text, "worker_state")
        check_fields(body, "worker_state", {"worker": str, "epoch_by_bot": dict, "slots": list, "at": str})
        slots = []
        for slot in body["slots"]:
            if not isinstance(slot, dict) or slot.get("state") not in get_args(SlotState):
                raise InvalidMessage(
                    "schema",
                    f"worker_state: expected a slot with `state` one of {get_args(SlotState)}, found {slot!r}",
                )
            check_fields(slot, "worker_state slot", {"bot": str, "version": int}, {"muted": bool})
            slots.append(
                SlotReport(
                    bot=slot["bot"],
                    version=slot["version"],
                    state=slot["state"],
                    detail=str(slot.get("detail") or ""),
                    form=str(slot.get("form") or ""),
                    muted=slot.get("muted"),
                )
            )
        epochs: dict[str, int] = body["epoch_by_bot"]
        check_fields(epochs, "worker_state epoch_by_bot", dict.fromkeys(epochs, int))
        return cls(
            worker=body["worker"],
            epoch_by_bot=epochs,
            slots=tuple(slots),
            at=body["at"],
        )


def next_epoch(bot: str, known: RolloutState | None, workers: Iterable[WorkerState] = ()) -> int:
    """Return the epoch of the next publication for a bot: above the topic's and above every worker's.

    Workers that kept running while the topic was lost would ignore a lower epoch as stale.
    """
    return 1 + max([known.epoch if known else 0, *(worker.epoch_by_bot.get(bot, 0) for worker in workers)])


def is_newer(state: RolloutState, known: RolloutState | None) -> bool:
    """Check whether a state replaces the known one; a stale or repeated epoch does not."""
    return known is None or state.epoch > known.epoch
