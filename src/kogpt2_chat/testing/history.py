"""Seeded talk of weeks or years, in rows as the lake has them, for tests and benchmarks of the search index.

A year of a million turns is generated as it is read, in the order of time.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.lake.layout import seoul_date
from kogpt2_chat.domain.search.documents import dead_letter_document, feedback_document, feedback_id, turn_document
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    SAFETY_INDEX,
    TURN_INDEX,
    IndexName,
)

Document = tuple[IndexName, str, dict[str, object]]
_OUTCOMES: Final = {
    None: 70, "nearest": 14, "unsure": 8, "timeout": 3, "empty": 2, "degraded": 1, "muted": 2,
}  # fmt: skip
_UNDECODED: Final = ("timeout", "degraded", "muted")
_PLACES: Final = (
    "은하광장", "달빛호수", "등불시장", "별사탕가게", "도서관", "전망대", "꽃길", "나루터",
    "찻집", "우체국", "종탑", "온실", "강둑", "놀이터", "빵집",
)  # fmt: skip
_THINGS: Final = (
    "축제", "불꽃놀이", "산책", "소풍", "낚시", "편지", "노래", "연극",
    "시합", "전시", "수업", "장터", "행진", "모임", "공연",
)  # fmt: skip
_ASKS: Final = (
    "언제 해?", "어디에서 해요?", "같이 갈래?", "재미있어?", "얼마예요?", "누가 나와?", "어떻게 가?", "왜 안 해?",
)  # fmt: skip
_ANSWER: Final = "반가워요. 오늘은 바람이 참 좋네요."
_FAULTS: Final = {None: 95, "cut": 2, "copied": 1, "looping": 1, "short": 1}
_FAULTY_ANSWERS: Final = {"looping": "좋아 좋아 좋아 좋아", "short": "네"}
_KINDS: Final = {"up": 60, "down": 25, "correction": 10, "report": 5}
_REASONS: Final = {"schema": 40, "not_a_question": 25, "too_large": 5, "unknown_bot": 20, "not_utf8": 10}
_PLAYERS: Final = 400
_TURNS_PER_SESSION: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEvent:
    """A turn.

    Attributes:
        row: its row in the table ``turns``.
        fault: what is wrong with the answer; None: nothing.
    """

    row: dict[str, Any]
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEvent:
    """A feedback on a turn; ``turn`` is None if it is on a turn that nobody knows."""

    row: dict[str, Any]
    turn: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterEvent:
    """A record that could not be read, at a position of its topic."""

    position: str
    value: bytes
    headers: dict[str, str]
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyEvent:
    """Vetted answers of a bot in an hour."""

    document: dict[str, object]


Event = TurnEvent | FeedbackEvent | DeadLetterEvent | SafetyEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happens in a period.

    Attributes:
        turns: number of turns.
        start: beginning of the period.
        end: its end; everything happens before it.
        versions: number of versions of each bot, which follow one another. A first part has none.
        seed: the same seed gives the same history.
    """

    turns: int
    start: datetime
    end: datetime
    versions: int = 6
    seed: int = 7

    def events(self) -> Iterator[Event]:
        """Yield everything that happens, in the order of time."""
        chance = random.Random(self.seed)
        step = (self.end - self.start) / max(1, self.turns)
        for number in range(self.turns):
            at = self.start + step * (number + chance.random() * 0.999)
            turn = self._turn(chance, number, at.replace(microsecond=at.microsecond // 1000 * 1000))
            yield turn
            yield from self._feedback(chance, number, turn)
            if _happens(chance, 0.03):
                yield self._dead_letter(chance, number, at)
            if _happens(chance, 0.03):
                yield self._safety(chance, number, at)

    def documents(self) -> Iterator[Document]:
        """Yield the documents of everything with their indices and ids."""
        for event in self.events():
            yield document_of(event)

    def _turn(self, chance: random.Random, number: int, at: datetime) -> TurnEvent:
        bot = chance.choice(BOT_IDS)
        fallback = _drawn(chance, _OUTCOMES)
        text = _question(chance)
        fault = _drawn(chance, _FAULTS) if fallback is None else None
        answer = {"copied": text, **_FAULTY_ANSWERS}.get(str(fault), _ANSWER)
        is_old = _happens(chance, 0.05)  # a row of a release that did not measure waiting
        is_decoded = fallback not in _UNDECODED
        latency_ms = int(chance.lognormvariate(5.5, 0.6))
        answered_at = at + timedelta(milliseconds=latency_ms)
        player = int(chance.paretovariate(0.8)) % _PLAYERS
        decoding: dict[str, object] = {"stop_reason": "length" if fault == "cut" else "end"} if is_decoded else {}
        if fallback == "nearest":
            decoding["nearest"] = {"likeness": round(chance.uniform(0.5, 1), 3), "source": "seed", "question": text}
        row = _TEMPLATE | {
            "turn_id": f"bot_question-{number % 12}-{number}",
            "question_id": f"q-{number}",
            "bot": bot,
            "player_id": f"w-{player}",
            "sender": "손님",
            "session_id": f"s-{player}-{number // (_PLAYERS * _TURNS_PER_SESSION)}" if player % 7 else None,
            "text": text,
            "answer": answer,
            "answer_token_ids": list(range(5, 5 + len(answer) // 2)) if fallback is None else [],
            "prompt_tokens": 6 + len(text),
            "model_version": self._version(bot, at),
            "decoding": json.dumps(decoding, ensure_ascii=False),
            "fallback": fallback,
            "received_at": at,
            "answered_at": answered_at,
            "latency_ms": latency_ms,
            "pii_hits": int(_happens(chance, 0.02)),
            "kafka_ms": None if is_old else int(chance.lognormvariate(2, 0.8)),
            "queue_ms": int(chance.lognormvariate(3, 1)) if is_decoded and not is_old else None,
            "decode_ms": max(1, int(latency_ms * 0.8)) if is_decoded and not is_old else None,
            "unknown_tokens": None if is_old else int(_happens(chance, 0.1)),
            "logged_at": None if is_old else answered_at + timedelta(milliseconds=int(chance.lognormvariate(2, 0.5))),
            "date": seoul_date(at),
            "kafka_partition": number % 12,
            "kafka_offset": number,
            "ingested_at": answered_at + timedelta(minutes=5),
        }
        return TurnEvent(row=row, fault=fault)

    def _version(self, bot: str, at: datetime) -> int:
        """Versions come one after the other, at a slightly different time for each bot."""
        progress = (at - self.start) / (self.end - self.start) - 0.01 * (1 + BOT_IDS.index(bot))
        return max(0, int(progress * self.versions) + 1) if progress > 0 else 0

    def _feedback(self, chance: random.Random, number: int, turn: TurnEvent) -> Iterator[FeedbackEvent]:
        if turn.row["fallback"] is not None or not _happens(chance, 0.25):
            return
        for repeat in range(2 if _happens(chance, 0.1) else 1):  # some players change their mind
            at = turn.row["answered_at"] + timedelta(milliseconds=repeat * 10)
            is_known = _happens(chance, 0.98)
            row = {
                "feedback_id": f"f-{number}-{repeat}",
                "turn_id": turn.row["turn_id"] if is_known else f"bot_question-99-{number}",
                "player_id": turn.row["player_id"],
                "kind": _drawn(chance, _KINDS),
                "authenticated": True,
                "received_at": at,
            }
            yield FeedbackEvent(row=row, turn=turn.row if is_known else None)

    def _dead_letter(self, chance: random.Random, number: int, at: datetime) -> DeadLetterEvent:
        reason = str(_drawn(chance, _REASONS))
        value = b"x" * chance.randint(1, 3000)
        if reason == "schema":
            value = json.dumps({"bot": chance.choice(BOT_IDS), "text": "가" * chance.randint(1, 200)}).encode()
        headers = {"reason": reason, "turn_id": f"bot_question-{number % 12}-{number}"}
        timestamp_ms = int(at.timestamp() * 1000)
        return DeadLetterEvent(position=f"0-{number}", value=value, headers=headers, timestamp_ms=timestamp_ms)

    def _safety(self, chance: random.Random, number: int, at: datetime) -> SafetyEvent:
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        bot = chance.choice(BOT_IDS)
        counts = {"log_partition": number % 12, "log_offset": number, "count": chance.randint(1, 3)}
        return SafetyEvent(document={"bot": bot, "hour": hour.isoformat(), **counts})


_TEMPLATE: Final[dict[str, Any]] = {
    "epoch": 1,
    "sent_at": None,
    "consent_store": True,
    "consent_train": False,
    "source": "v1",
    "worker": "worker-1",
    "authenticated": True,
    "minor": False,
    "extra": "{}",
    "v": 1,
}


def document_of(event: Event) -> Document:
    """Return the document of an event with its index and its id."""
    if isinstance(event, TurnEvent):
        return TURN_INDEX, str(event.row["turn_id"]), turn_document(event.row)
    if isinstance(event, FeedbackEvent):
        return FEEDBACK_INDEX, feedback_id(event.row), feedback_document(event.row, event.turn)
    if isinstance(event, DeadLetterEvent):
        document = dead_letter_document(event.value, event.headers, event.timestamp_ms)
        return DEAD_LETTER_INDEX, event.position, document
    document = event.document
    return SAFETY_INDEX, f"{document['log_partition']}-{document['hour']}-{document['bot']}", document


def _drawn(chance: random.Random, weights: dict[Any, int]) -> Any:
    return chance.choices(list(weights), list(weights.values()))[0]


def _question(chance: random.Random) -> str:
    """Return a question: few are asked very often, many hardly ever."""
    place = _PLACES[min(len(_PLACES) - 1, int(chance.paretovariate(0.9)) - 1)]
    ask = _ASKS[min(len(_ASKS) - 1, int(chance.paretovariate(0.9)) - 1)]
    if _happens(chance, 0.7):
        return f"{place} {chance.choice(_THINGS)} {ask}"
    return f"{place} {' '.join(chance.choices(_THINGS, k=3))} {chance.choice(_PLACES)} {ask}"


def _happens(chance: random.Random, share: float) -> bool:
    return chance.random() < share
