"""Records of the log topics: a turn (question and answer), and a player's feedback on it, each in version 1.

They are written to ``conversation_log`` and ``feedback`` as JSON, and every later stage reads them back. A reader keeps
unknown fields in ``extra`` and accepts any string in ``source``, ``fallback`` and ``kind``, so an older reader does not
lose what a newer writer added.

The worker masks personal data in a turn before it writes the log. The lake masks it again on ingest, because earlier
releases had fewer masking rules. Masking is idempotent.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal

from kogpt2_chat.domain.chat.players import masked_player, says_minor
from kogpt2_chat.domain.chat.signing import AUTH, UNSIGNED, SigningKeys
from kogpt2_chat.domain.text.json_records import check_fields, read_object
from kogpt2_chat.domain.text.masking import mask_pii
from kogpt2_chat.errors import InvalidMessage

TurnSource = Literal["legacy", "v1"]
Fallback = Literal["safety", "muted", "nearest", "unsure", "timeout", "empty", "degraded"]
"""Why an answer does not come from the model. ``safety`` has priority over all others, ``nearest`` over the notices."""
FeedbackKind = Literal["up", "down", "correction", "report"]

CONSENT_KEY: Final = "consent_train"
"""Key in ``extra`` of a feedback row. Earlier releases store the field there as an unknown field."""
MINOR_KEY: Final = "minor"
"""Key in ``extra`` of a feedback row, and of a turn that a worker of an earlier release wrote."""
NOTICE_BY_FALLBACK: Final[Mapping[Fallback, str]] = {
    "timeout": "잠시 후 다시 말해 주세요.",
    "muted": "지금은 잠시 쉬고 있어요. 나중에 다시 이야기해요.",
    "empty": "음, 뭐라고 답해야 할지 모르겠어요. 다르게 말해 주시겠어요?",
    "degraded": "아직 이야기할 준비가 되지 않았어요. 잠시 후 다시 찾아와 주세요.",
}
"""The fixed text for the player, for each fallback that has one. ``safety``, ``nearest`` and ``unsure`` do not."""
SOURCE_BY_FALLBACK: Final[Mapping[Fallback, str]] = {
    "safety": "a vetted answer",
    "nearest": "the nearest known answer",
    "unsure": "the bot says that it does not know",
}
"""The source of an answer, for fallbacks without a fixed notice."""


def answer_source(fallback: str | None, version: int | str) -> str:
    """Describe the source of an answer, for people to read."""
    if not fallback:
        return f"version {version}"
    other = f"fixed notice: {fallback}" if fallback in NOTICE_BY_FALLBACK else f"not the model: {fallback}"
    return next((source for name, source in SOURCE_BY_FALLBACK.items() if name == fallback), other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question with its answer.

    Attributes:
        turn_id: ``bot_question-PARTITION-OFFSET``, the position of the question.
        text: the question in NFC, with personal data masked.
        answer_token_ids: the tokens that the model generated; empty for a fallback.
        model_version: the registered version that answered or was loaded at the time; 0 if there was none.
        epoch: the rollout epoch of the slot; 0 before the first rollout.
        decoding: the settings that the answer was decoded with.
        fallback: why the answer does not come from the model, or None if it does. Later releases may add values.
            ``nearest``: the model was unsure, too late or without output, so the player got the answer of the nearest
            known question. ``unsure``: no known question was near enough either.
        sent_at: RFC 3339, from the client, or else the time of the record in the broker.
        received_at: RFC 3339, from the worker's clock; so is ``answered_at``.
        authenticated: whether the worker found a valid signature on the question.
        minor: whether the player is a minor. ``consent_train`` is then false.
        kafka_ms: how long the question waited in Kafka until a worker polled it, by the broker's and the worker's
            clocks; None if the broker's time is not plausible, and in turns of earlier releases, as for the next three.
        queue_ms: how long it then waited in the worker for its first decoding step; None if nothing was decoded.
        decode_ms: how long it was decoded; None if nothing was decoded.
        unknown_tokens: number of the prompt's tokens that stand for characters outside the vocabulary; None without a
            prompt.
        extra: fields of the question or of the turn that this release does not know.
    """

    turn_id: str
    question_id: str
    bot: str
    player_id: str
    sender: str
    text: str
    answer: str
    received_at: str
    answered_at: str
    latency_ms: int
    consent_store: bool
    consent_train: bool
    source: TurnSource | str
    worker: str
    session_id: str | None = None
    answer_token_ids: tuple[int, ...] = ()
    prompt_tokens: int = 0
    model_version: int = 0
    epoch: int = 0
    decoding: Mapping[str, object] = field(default_factory=dict)
    fallback: Fallback | str | None = None
    sent_at: str | None = None
    authenticated: bool = False
    minor: bool = False
    kafka_ms: int | None = None
    queue_ms: int | None = None
    decode_ms: int | None = None
    unknown_tokens: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    v: int = 1

    def to_json(self) -> str:
        """Return the record as one line of JSON, without measurements that were not made."""
        body = {name: value for name, value in asdict(self).items() if value is not None or name not in _MEASURED}
        return json.dumps(body, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Turn":
        """Parse a record of ``conversation_log``.

        Args:
            text: the value of the record.

        Returns:
            The turn. Fields that this release does not know are in its ``extra``.

        Raises:
            InvalidMessage: the value is not a JSON object, ``v`` is not 1, or a field is missing or has a wrong type.
        """
        known = _check(
            read_object(text, "turn"), "turn", _TURN_TYPES, _TURN_OPTIONAL, names={f.name for f in fields(cls)}
        )
        token_ids = known.get("answer_token_ids") or []
        if any(type(token) is not int for token in token_ids):
            raise InvalidMessage("schema", "turn: `answer_token_ids` must be a list of integers")
        known["answer_token_ids"] = tuple(token_ids)
        known["minor"] = _is_minor(known)
        known["consent_train"] = known["consent_train"] and not known["minor"]
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A player's feedback on a turn. Only the last one of a player on a turn counts.

    Attributes:
        text: the better answer, for a correction; a remark otherwise.
        sent_at: RFC 3339.
        consent_train: whether training may use the text; None if the client does not say.
        minor: whether the player is a minor. ``consent_train`` is then false.
        authenticated: whether the reader found a valid signature. Not part of the record.
    """

    feedback_id: str
    turn_id: str
    player_id: str
    kind: FeedbackKind | str
    sent_at: str
    text: str | None = None
    consent_train: bool | None = None
    minor: bool = False
    authenticated: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)
    v: int = 1

    def to_body(self) -> dict[str, object]:
        """Return the record as a JSON object, so that it can be signed."""
        left_out = {"authenticated"} if self.minor else {"authenticated", "minor"}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(self.to_body(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, keys: SigningKeys = UNSIGNED) -> "Feedback":
        """Parse a record of ``feedback``.

        Args:
            text: the value of the record.
            keys: the keys of those who may vouch for a player. A bad signature never refuses a record.

        Returns:
            The feedback. Fields that this release does not know are in its ``extra``.

        Raises:
            InvalidMessage: the value is not a JSON object, ``v`` is not 1, a field is missing or has a wrong type, or
                a correction has no text.
        """
        body = read_object(text, "feedback")
        names = {f.name for f in fields(cls)} - {"authenticated"} | {AUTH}
        known = _check(body, "feedback", _FEEDBACK_TYPES, _FEEDBACK_OPTIONAL, names=names)
        if known["kind"] == "correction" and not str(known.get("text") or "").strip():
            raise InvalidMessage("schema", "feedback: a correction needs the better answer in `text`")
        known.pop(AUTH, None)
        known["minor"] = _is_minor(known)
        if known["minor"]:
            known["consent_train"] = False
        return cls(**known, authenticated=keys.verify(body))


def _is_minor(known: Mapping[str, Any]) -> bool:
    """Return whether a record is about a minor. An earlier release has left the unknown field in ``extra``."""
    return says_minor(known.get("minor")) or says_minor(known["extra"].get(MINOR_KEY))


# A reader of an earlier release keeps unknown fields in `extra`, also those that are null.
_MEASURED: Final = ("kafka_ms", "queue_ms", "decode_ms", "unknown_tokens")
_TURN_TYPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(
        ("turn_id", "question_id", "bot", "player_id", "sender", "text", "answer", "source", "worker"), str
    ),
    **dict.fromkeys(("received_at", "answered_at"), str),
    **dict.fromkeys(("consent_store", "consent_train"), bool),
    "latency_ms": int,
}
_TURN_OPTIONAL: Final[Mapping[str, type]] = {
    **dict.fromkeys(("session_id", "fallback", "sent_at"), str),
    **dict.fromkeys(("prompt_tokens", "model_version", "epoch"), int),
    **dict.fromkeys(_MEASURED, int),
    **dict.fromkeys(("authenticated", "minor"), bool),
    "answer_token_ids": list,
    "decoding": dict,
}
_FEEDBACK_TYPES: Final[Mapping[str, type]] = dict.fromkeys(
    ("feedback_id", "turn_id", "player_id", "kind", "sent_at"), str
)
_FEEDBACK_OPTIONAL: Final[Mapping[str, type]] = {"text": str, "consent_train": bool}


def _check(
    body: Mapping[str, Any], what: str, required: Mapping[str, type], optional: Mapping[str, type], names: set[str]
) -> dict[str, Any]:
    """Return the checked fields of a version 1 object, with the unknown ones in ``extra``."""
    if type(body.get("v")) is not int or body["v"] != 1:
        raise InvalidMessage("schema", f"{what}: `v` must be 1, found {body.get('v')!r}")
    check_fields(body, what, required, optional)
    extra = body.get("extra")
    if extra is not None and not isinstance(extra, dict):
        raise InvalidMessage("schema", f"{what}: `extra` must be an object, found {type(extra).__name__}")
    unknown = {name: value for name, value in body.items() if name not in names}
    known = {name: value for name, value in body.items() if name in names and value is not None}
    return {**known, "extra": {**(extra or {}), **unknown}}


_MAX_DEPTH: Final = 64
"""Deeper values are dropped. The limit for questions is lower, so only other writers can exceed this one."""


def masked_turn(turn: Turn) -> Turn:
    """Return the turn with all its texts masked.

    If the answer contains personal data, ``answer_token_ids`` becomes empty, because the tokens spell the answer.
    """
    answer, hits = mask_pii(turn.answer)
    return replace(
        turn,
        text=mask_pii(turn.text)[0],
        answer=answer,
        answer_token_ids=() if hits else turn.answer_token_ids,
        sender=mask_pii(turn.sender)[0],
        session_id=None if turn.session_id is None else mask_pii(turn.session_id)[0],
        player_id=masked_player(turn.player_id),
        extra=masked_fields(turn.extra),
    )


def masked_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields with their names and texts masked at any depth; numbers stay, since they are times and ids.

    ``NaN`` and infinities become null. They are not valid JSON, and readers other than Python's reject the whole text.
    """
    return {mask_pii(name)[0]: _kept_value(value, _MAX_DEPTH) for name, value in fields.items()}


def _kept_value(value: object, depth: int) -> object:
    if depth == 0:
        return None
    if isinstance(value, str):
        return mask_pii(value)[0]
    if isinstance(value, Mapping):
        return {mask_pii(str(name))[0]: _kept_value(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_kept_value(inner, depth - 1) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
