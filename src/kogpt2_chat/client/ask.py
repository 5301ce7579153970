"""Ask the bots over Kafka, as a game client does, and wait for their answers."""

import time
import uuid
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import legacy_text, v1_text
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing, Record, Topics

_POLL_INTERVAL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What one player says to one bot.

    Attributes:
        bot: the bot's id.
        sender: the player's name in the question; the key of the answer.
        text: the question.
        legacy: send it in the old Unity client's frame, which has neither ids nor consent.
        train: the player's consent that the turn may be trained on (v1 only).
    """

    bot: str
    sender: str
    text: str
    legacy: bool = False
    train: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with its origin; ``fallback`` is set if the text is not the model's."""

    bot: str
    sender: str
    question: str
    answer: str
    turn_id: str
    version: str
    epoch: int
    latency_ms: int
    fallback: str | None

    def as_json(self) -> dict[str, object]:
        """Return the reply as plain JSON values."""
        return asdict(self)


def ask(*, utterances: Sequence[Utterance], topics: Topics, timeout_s: float) -> list[Reply]:
    """Send all questions at once and wait for all answers.

    Legacy answers can only be matched by bot and sender, as in the old client. So use each sender only once per bot.

    Args:
        utterances: what to say.
        topics: Kafka.
        timeout_s: how long to wait for all answers.

    Returns:
        One reply per utterance, in the same order.

    Raises:
        Unavailable: an answer did not arrive in time.
    """
    pending = _PendingQuestions(utterances)
    positions = {bot: topics.end_positions(bot) for bot in {utterance.bot for utterance in utterances}}
    topics.send(pending.questions)
    deadline = time.monotonic() + timeout_s
    while not pending.done:
        for bot, position_by_partition in positions.items():
            for record in _new_records(topics, bot, position_by_partition):
                pending.accept(record)
        if time.monotonic() > deadline:
            raise Unavailable(
                f"{pending.missing} of {len(utterances)} answers did not arrive within {timeout_s:g} s: "
                "check with `kogpt2-chat status` that a worker is running"
            )
        time.sleep(_POLL_INTERVAL_S)
    return pending.replies


def _new_records(topics: Topics, topic: str, position_by_partition: dict[int, int]) -> Iterator[Record]:
    """Yield the records after the positions, and move the positions."""
    for partition, end in topics.end_positions(topic).items():
        start = position_by_partition.get(partition, 0)
        if end > start:
            yield from topics.read(topic, partition, start, end)
            position_by_partition[partition] = end


class _PendingQuestions:
    """The questions that were sent, and the replies received so far."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._utterances = utterances
        self._ids = [uuid.uuid4().hex for _ in utterances]
        self._index_by_id = {question_id: index for index, question_id in enumerate(self._ids)}
        self._legacy: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        for index, utterance in enumerate(utterances):
            if utterance.legacy:
                self._legacy[utterance.bot, utterance.sender].append(index)
        self._reply_by_index: dict[int, Reply] = {}

    @property
    def questions(self) -> list[Outgoing]:
        """The records to send, keyed by sender so that one player's questions stay in order."""
        return [
            Outgoing(topic=QUESTION_TOPIC, key=utterance.sender.encode(), value=_value(utterance, question_id).encode())
            for utterance, question_id in zip(self._utterances, self._ids, strict=True)
        ]

    @property
    def missing(self) -> int:
        """The number of answers not received yet."""
        return len(self._utterances) - len(self._reply_by_index)

    @property
    def done(self) -> bool:
        """Whether all answers are received."""
        return self.missing == 0

    @property
    def replies(self) -> list[Reply]:
        """All replies, in the order of the questions."""
        return [self._reply_by_index[index] for index in range(len(self._utterances))]

    def accept(self, record: Record) -> None:
        """Store the answer if it belongs to one of these questions."""
        sender = (record.key or b"").decode()
        index = self._index_by_id.get(record.headers.get("question_id", ""))
        if index is None and self._legacy[record.topic, sender]:
            index = self._legacy[record.topic, sender].popleft()
        if index is None:
            return
        self._reply_by_index[index] = Reply(
            bot=record.topic,
            sender=sender,
            question=self._utterances[index].text,
            answer=(record.value or b"").decode(),
            turn_id=record.headers["turn_id"],
            version=record.headers["model_version"],
            epoch=int(record.headers["epoch"]),
            latency_ms=int(record.headers["latency_ms"]),
            fallback=record.headers.get("fallback"),
        )


def _value(utterance: Utterance, question_id: str) -> str:
    if utterance.legacy:
        return legacy_text(utterance.sender, utterance.bot, utterance.text)
    return v1_text(
        question_id=question_id,
        bot=utterance.bot,
        sender=utterance.sender,
        text=utterance.text,
        consent={"store": True, "train": utterance.train},
    )
