"""What a rollout says to the workers and what they say back, and the pure decisions on both sides.

``rollout_state`` (key: bot) is written by the rollout job and read by every worker; ``worker_state`` (key:
worker) goes the other way. Knows no Kafka, no registry and no clock: the time is always an argument.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal, cast, get_args

from kogpt2_chat.errors import InvalidMessage

Phase = Literal["steady", "shadow", "canary"]
SlotState = Literal["loading", "ready", "degraded"]

HEARTBEAT_S: Final = 3.0
"""How often a worker says that it is alive, even when nothing has changed."""


@dataclass(frozen=True, slots=True)
class VersionKey:
    """Which version is meant: a number alone does not say so, since a registry that was lost begins at 1 again.

    Attributes:
        number: of the registered version.
        digest: SHA-256 of its ``model.json``; empty where it is not known.
    """

    number: int
    digest: str = ""

    def is_same(self, other: "VersionKey | None") -> bool:
        """Whether both are one version, as far as is known."""
        if other is None or self.number != other.number:
            return False
        return self.digest == other.digest or not (self.digest and other.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Which version of one bot the workers are to serve.

    Attributes:
        epoch: rises by one with each publication for this bot; a lower or equal one is stale.
        champion: the version to serve; None while the bot has none.
        digest: SHA-256 of that version's ``model.json``: numbers begin anew in a registry that was lost. Empty where it
            is not known, as in states of earlier releases; then the number has to do.
        previous: the champion before, which workers keep at hand.
        earlier: the champion before that one: where a version goes back to that speaks while another is on its way.
        muted: questions are answered with a fixed notice.
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
        """The version to serve."""
        return None if self.champion is None else VersionKey(self.champion, self.digest)

    def to_json(self) -> str:
        """One line of JSON."""
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
        body = _read_object(text, "rollout_state")
        _check(body, "rollout_state", {"bot": str, "epoch": int})
        _check_optional(
            body,
            "rollout_state",
            {"champion": int, "previous": int, "earlier": int, "candidate": int, "percent": int, "muted": bool},
        )
        phase = body.get("phase", "steady")
        if phase not in get_args(Phase):
            raise InvalidMessage("schema", f"rollout_state: `phase` is {phase!r}, expected one of {get_args(Phase)}")
        return cls(
            bot=cast("str", body["bot"]),
            epoch=cast("int", body["epoch"]),
            champion=cast("int | None", body.get("champion")),
            digest=str(body.get("digest") or ""),
            previous=cast("int | None", body.get("previous")),
            earlier=cast("int | None", body.get("earlier")),
            candidate=cast("int | None", body.get("candidate")),
            phase=cast("Phase", phase),
            percent=cast("int", body.get("percent", 100)),
            muted=cast("bool", body.get("muted", False)),
            reason=str(body.get("reason") or ""),
            by=str(body.get("by") or ""),
            at=str(body.get("at") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReport:
    """What one slot of a worker serves.

    Attributes:
        version: the one that answers now; 0 when none does.
        form: in which form the serving engine computes it (:mod:`kogpt2_chat.artifact.forms`); empty where no version
            answers, on the reference engine, and from workers before this field.
        muted: whether the bot's questions are answered with the fixed notice; None from workers before this field.
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
        worker: ``worker-N``.
        epoch_by_bot: the rollout epoch that each slot has acted on (well or badly).
        at: RFC 3339 time of the heartbeat.
    """

    worker: str
    epoch_by_bot: Mapping[str, int]
    slots: tuple[SlotReport, ...]
    at: str
    v: int = 1

    def to_json(self) -> str:
        """One line of JSON."""
        body = asdict(self)
        return json.dumps(body, ensure_ascii=False)

    def slot(self, bot: str) -> SlotReport | None:
        """What it says of one bot."""
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
        body = _read_object(text, "worker_state")
        _check(body, "worker_state", {"worker": str, "epoch_by_bot": dict, "slots": list, "at": str})
        slots = []
        for slot in cast("list[object]", body["slots"]):
            if not isinstance(slot, dict) or slot.get("state") not in get_args(SlotState):
                raise InvalidMessage("schema", f"worker_state: a slot is not readable: {slot!r}")
            _check(slot, "worker_state slot", {"bot": str, "version": int})
            _check_optional(slot, "worker_state slot", {"muted": bool})
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
        epochs = cast("dict[str, object]", body["epoch_by_bot"])
        _check(epochs, "worker_state epoch_by_bot", dict.fromkeys(epochs, int))
        return cls(
            worker=cast("str", body["worker"]),
            epoch_by_bot=cast("dict[str, int]", epochs),
            slots=tuple(slots),
            at=cast("str", body["at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgements:
    """How far the live workers have come with one rollout; names of workers, sorted."""

    ready: tuple[str, ...]
    degraded: tuple[str, ...]
    waiting: tuple[str, ...]
    details: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether there is a live worker and every one of them serves the version."""
        return bool(self.ready) and not self.degraded and not self.waiting


def next_epoch(bot: str, known: RolloutState | None, workers: Iterable[WorkerState] = ()) -> int:
    """The epoch of the next publication for a bot: above what the topic says, and above what any worker remembers.

    Workers that outlive a lost topic would take a lower one for stale.
    """
    return 1 + max([known.epoch if known else 0, *(worker.epoch_by_bot.get(bot, 0) for worker in workers)])


def is_newer(state: RolloutState, known: RolloutState | None) -> bool:
    """Whether a state replaces the known one; stale and repeated epochs do not."""
    return known is None or state.epoch > known.epoch


def target_version(state: RolloutState | None) -> int | None:
    """The version that a slot is to serve to everybody; None: nothing is rolled out yet."""
    return None if state is None else state.champion


def rollout_answers(
    bot: str, version: int, epoch: int, live: Iterable[WorkerState], perhaps_alive: Iterable[str] = ()
) -> Acknowledgements:
    """Sort live workers by what they say about a version of a bot.

    Args:
        bot: the bot.
        version: the version rolled out.
        epoch: the rollout's epoch; what a worker says about an earlier one does not count.
        live: the workers to wait for, see :class:`kogpt2_chat.domain.rollout.liveness.Roll`.
        perhaps_alive: names of those that may be alive; whatever they once said, they are waited for.

    Returns:
        Who is ready, who is degraded and who has not answered.
    """
    groups: dict[str, list[str]] = {"ready": [], "degraded": [], "waiting": [*perhaps_alive]}
    details: dict[str, str] = {}
    for worker in live:
        slot = worker.slot(bot)
        answered = slot is not None and worker.epoch_by_bot.get(bot, 0) >= epoch
        verdict = "waiting"
        if slot is not None and answered:
            details[worker.worker] = slot.detail
            if slot.state == "degraded":
                verdict = "degraded"
            elif slot.state == "ready" and slot.version == version:
                verdict = "ready"
        groups[verdict].append(worker.worker)
    return Acknowledgements(
        ready=tuple(sorted(groups["ready"])),
        degraded=tuple(sorted(groups["degraded"])),
        waiting=tuple(sorted(groups["waiting"])),
        details=details,
    )


def _read_object(text: str | bytes, topic: str) -> dict[str, object]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage("schema", f"{topic}: expected a JSON object, found {text[:80]!r}") from error
    if not isinstance(body, dict):
        raise InvalidMessage("schema", f"{topic}: expected a JSON object, found {text[:80]!r}")
    return body


def _check(body: Mapping[str, object], what: str, types: Mapping[str, type]) -> None:
    for name, expected in types.items():
        found = body.get(name)
        if type(found) is not expected:  # exact: True is no epoch
            raise InvalidMessage("schema", f"{what}: `{name}` must be {expected.__name__}, found {found!r}")


def _check_optional(body: Mapping[str, object], what: str, types: Mapping[str, type]) -> None:
    _check(body, what, {name: kind for name, kind in types.items() if body.get(name) is not None})
