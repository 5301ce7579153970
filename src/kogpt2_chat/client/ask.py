"""Ask the bots over Kafka, the way a world client does, and wait for their answers."""

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

_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What one player says to one bot.

    Attributes:
        legacy: send the old Unity client's frame, which knows no ids and no consent.
        train: the player's consent that the turn may be learned from (v1 only).
    """

    bot: str
    sender: str
    text: str
    legacy: bool = False
    train: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with where it came from; ``fallback`` is set where the text is not the model's."""

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
        """Plain values."""
        return asdict(self)


def ask(*, utterances: Sequence[Utterance], topics: Topics, timeout_s: float) -> list[Reply]:
    """Send all questions at once and wait for all answers.

    Legacy answers can only be told apart by bot and sender, as on the old client: use a sender once.

    Args:
        utterances: what to say.
        topics: Kafka.
        timeout_s: how long to wait for the last answer.

    Returns:
        One reply for each utterance, in their order.

    Raises:
        Unavailable: an answer did not come in time.
    """
    waiting = _Waiting(utterances)
    positions = {bot: topics.end_positions(bot) for bot in {utterance.bot for utterance in utterances}}
    topics.send(waiting.questions)
    deadline = time.monotonic() + timeout_s
    while not waiting.done:
        for bot, position_by_partition in positions.items():
            for record in _new_records(topics, bot, position_by_partition):
                waiting.take(record)
        if time.monotonic() > deadline:
            raise Unavailable(
                f"{waiting.missing} of {len(utterances)} answers did not come within {timeout_s:g} s: "
                "is a worker running? `kogpt2-chat status` tells"
            )
        time.sleep(_PAUSE_S)
    return waiting.replies


def _new_records(topics: Topics, topic: str, position_by_partition: dict[int, int]) -> Iterator[Record]:
    """Records since the last look; moves the positions."""
    for partition, end in topics.end_positions(topic).items():
        start = position_by_partition.get(partition, 0)
        if end > start:
            yield from topics.read(topic, partition, start, end)
            position_by_partition[partition] = end


class _Waiting:
    """Questions on their way, and the replies that came back."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._utterances = utterances
        self._ids = [uuid.uuid4().hex for _ in utterances]
        self._place_by_id = {question_id: place for place, question_id in enumerate(self._ids)}
        self._legacy: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        for place, utterance in enumerate(utterances):
            if utterance.legacy:
                self._legacy[utterance.bot, utterance.sender].append(place)
        self._reply_by_place: dict[int, Reply] = {}

    @property
    def questions(self) -> list[Outgoing]:
        """The records to send; keyed by sender, so that one player's questions stay in order."""
        return [
            Outgoing(topic=QUESTION_TOPIC, key=utterance.sender.encode(), value=_value(utterance, question_id).encode())
            for utterance, question_id in zip(self._utterances, self._ids, strict=True)
        ]

    @property
    def missing(self) -> int:
        """How many answers have not come."""
        return len(self._utterances) - len(self._reply_by_place)

    @property
    def done(self) -> bool:
        """Whether all answers have come."""
        return self.missing == 0

    @property
    def replies(self) -> list[Reply]:
        """All replies in the order of the questions."""
        return [self._reply_by_place[place] for place in range(len(self._utterances))]

    def take(self, record: Record) -> None:
        """Keep an answer if it is one of ours."""
        sender = (record.key or b"").decode()
        place = self._place_by_id.get(record.headers.get("question_id", ""))
        if place is None and self._legacy[record.topic, sender]:
            place = self._legacy[record.topic, sender].popleft()
        if place is None:
            return
        self._reply_by_place[place] = Reply(
            bot=record.topic,
            sender=sender,
            question=self._utterances[place].text,
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
