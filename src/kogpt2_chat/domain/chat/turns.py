"""The unit of the log, and what players say about it: Turn and Feedback, version 1 of each.

Written to ``conversation_log`` and ``feedback`` as JSON and read back by every later stage. Fields that a
reader does not know are kept in ``extra``, and words it does not know in ``source``, ``fallback`` and ``kind`` are
taken as they are, so that an older reader never loses what a newer writer said.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, cast

from kogpt2_chat.errors import InvalidMessage

Source = Literal["legacy", "v1"]
Fallback = Literal["safety", "muted", "nearest", "unsure", "timeout", "empty", "degraded"]
"""Why a text is not the model's own. ``safety`` goes before all else, ``nearest`` before the notices below."""
FeedbackKind = Literal["up", "down", "correction", "report"]

CONSENT_KEY: Final = "consent_train"
"""In ``extra`` of a feedback row, where a reader of an earlier release keeps this field by itself."""
NOTICE_BY_FALLBACK: Final[Mapping[Fallback, str]] = {
    "timeout": "잠시 후 다시 말해 주세요.",
    "muted": "지금은 잠시 쉬고 있어요. 나중에 다시 이야기해요.",
    "empty": "음, 뭐라고 답해야 할지 모르겠어요. 다르게 말해 주시겠어요?",
    "degraded": "아직 이야기할 준비가 되지 않았어요. 잠시 후 다시 찾아와 주세요.",
}
"""What a player reads where nobody has an answer. ``safety``, ``nearest`` and ``unsure`` bring texts of their own."""
SPOKEN_BY: Final[Mapping[Fallback, str]] = {
    "safety": "a vetted answer",
    "nearest": "the nearest known answer",
    "unsure": "an admission that it does not know",
}
"""Who spoke, where it was neither the model nor a fixed notice."""


def spoken_by(fallback: str | None, version: int | str) -> str:
    """Whose words an answer is, for a person."""
    if not fallback:
        return f"version {version}"
    other = f"fixed notice: {fallback}" if fallback in NOTICE_BY_FALLBACK else f"not the model: {fallback}"
    return next((who for name, who in SPOKEN_BY.items() if name == fallback), other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question with its answer.

    Attributes:
        turn_id: ``bot_question-PARTITION-OFFSET``, the question's position.
        text: the question as the player wrote it, NFC, with personal data masked.
        answer_token_ids: what the model chose, before it became text; empty for a fallback.
        model_version: the registered version that answered, or served at the time; 0 when there was none.
        epoch: the rollout epoch that the slot was in; 0 before the first rollout.
        decoding: the settings that the answer was decoded with.
        fallback: why the answer is not the model's own, possibly a later release's word; None where it is. ``nearest``:
            the model was unsure, late or silent, and the answer of the nearest known question was said; ``unsure``:
            nothing known was near either.
        sent_at: RFC 3339, as the client said, else the broker's time of the record.
        received_at: RFC 3339, the worker's clock, like ``answered_at``.
        extra: fields of the question, or of the Turn, that this version does not know.
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
    source: Source | str
    worker: str
    session_id: str | None = None
    answer_token_ids: tuple[int, ...] = ()
    prompt_tokens: int = 0
    model_version: int = 0
    epoch: int = 0
    decoding: Mapping[str, object] = field(default_factory=dict)
    fallback: Fallback | str | None = None
    sent_at: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    v: int = 1

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Turn":
        """Read a record of ``conversation_log``.

        Args:
            text: the record's value.

        Returns:
            The turn; fields unknown to this version are added to its ``extra``.

        Raises:
            InvalidMessage: not a JSON object, another version, or a field missing or of a wrong type.
        """
        known = _strict(text, "turn", _TURN_TYPES, _TURN_OPTIONAL, names={f.name for f in fields(cls)})
        token_ids = known.get("answer_token_ids") or []
        if any(type(token) is not int for token in token_ids):
            raise InvalidMessage("schema", "turn: `answer_token_ids` must be a list of whole numbers")
        known["answer_token_ids"] = tuple(token_ids)
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a player says about a turn. The last one by player and turn counts.

    Attributes:
        text: the better answer, for a correction; a remark otherwise.
        sent_at: RFC 3339.
        consent_train: whether the text may be trained on; None where the client does not say.
    """

    feedback_id: str
    turn_id: str
    player_id: str
    kind: FeedbackKind | str
    sent_at: str
    text: str | None = None
    consent_train: bool | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    v: int = 1

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Feedback":
        """Read a record of ``feedback``.

        Args:
            text: the record's value.

        Returns:
            The feedback; fields unknown to this version are added to its ``extra``.

        Raises:
            InvalidMessage: not a JSON object, another version, a field missing or of a wrong type, or a
                correction without a text.
        """
        known = _strict(text, "feedback", _FEEDBACK_TYPES, _FEEDBACK_OPTIONAL, names={f.name for f in fields(cls)})
        if known["kind"] == "correction" and not str(known.get("text") or "").strip():
            raise InvalidMessage("schema", "feedback: a correction needs a `text`, the better answer")
        return cls(**known)


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
    "answer_token_ids": list,
    "decoding": dict,
}
_FEEDBACK_TYPES: Final[Mapping[str, type]] = dict.fromkeys(
    ("feedback_id", "turn_id", "player_id", "kind", "sent_at"), str
)
_FEEDBACK_OPTIONAL: Final[Mapping[str, type]] = {"text": str, "consent_train": bool}


def _strict(
    text: str | bytes, what: str, required: Mapping[str, type], optional: Mapping[str, type], names: set[str]
) -> dict[str, Any]:
    """The known fields of a version 1 object, checked, the unknown ones in ``extra``."""
    body = _read_object(text, what)
    if type(body.get("v")) is not int or body["v"] != 1:
        raise InvalidMessage("schema", f"{what}: `v` must be 1, found {body.get('v')!r}")
    for name, expected in required.items():
        if type(body.get(name)) is not expected:  # exact: True is no number
            found = type(body.get(name)).__name__
            raise InvalidMessage("schema", f"{what}: `{name}` must be {expected.__name__}, found {found}")
    for name, expected in optional.items():
        if body.get(name) is not None and type(body[name]) is not expected:
            found = type(body[name]).__name__
            raise InvalidMessage("schema", f"{what}: `{name}` must be {expected.__name__} or null, found {found}")
    extra = body.get("extra")
    if extra is not None and not isinstance(extra, dict):
        raise InvalidMessage("schema", f"{what}: `extra` must be an object, found {type(extra).__name__}")
    unknown = {name: value for name, value in body.items() if name not in names}
    known = {name: value for name, value in body.items() if name in names and value is not None}
    return {**known, "extra": {**(extra or {}), **unknown}}


def _read_object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage("schema", f"{what}: not readable as JSON") from error
    if not isinstance(body, dict):
        raise InvalidMessage("schema", f"{what}: expected a JSON object, found {type(body).__name__}")
    return cast("dict[str, Any]", body)
