"""The last records of topics, which a gateway reads when it starts: players may wait for answers since before that."""

from collections.abc import Sequence
from typing import Final

from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.wire import read_question
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Record, Topics
from world.gateway.rooms.asking import AskedQuestion

_MOST_PER_PARTITION: Final = 500


def recent_records(topics: Topics, names: Sequence[str], since_ms: int) -> list[Record]:
    """Return the last records of some topics, oldest first.

    Args:
        topics: Kafka.
        names: the topics.
        since_ms: broker time of the oldest record to return, in milliseconds since the epoch.

    Returns:
        The records; of each partition, those in the last 500 offsets at most.

    Raises:
        NotFound: a topic does not exist.
        Unavailable: the broker does not answer in time.
    """
    found: list[Record] = []
    for name in names:
        starts = topics.start_positions(name)
        for partition, end in topics.end_positions(name).items():
            start = max(starts.get(partition, 0), end - _MOST_PER_PARTITION)
            found += [record for record in topics.read(name, partition, start, end) if record.timestamp_ms >= since_ms]
    return sorted(found, key=lambda record: record.timestamp_ms)


def question_of(record: Record, keys: SigningKeys) -> AskedQuestion | None:
    """Return the question of one of the world's players, as it was asked; None for other clients' questions.

    Whether it was shared is not in the record, so after a restart only the asker sees the answer.

    Args:
        record: a record of ``bot_question``.
        keys: the keys of the gateways; a question without their signature is another client's.
    """
    try:
        found = read_question(record.value, record.partition, record.offset, keys=keys)
    except InvalidMessage:
        return None
    guest_id, dot, client_id = found.question_id.rpartition(".")
    if not (found.authenticated and dot and guest_id == found.player_id):
        return None
    return AskedQuestion(
        id=found.question_id,
        client_id=client_id,
        guest_id=guest_id,
        sender=found.sender,
        bot=found.bot,
        text=found.text,
        shared=False,
        store=found.consent_store,
        learn=found.consent_train,
        minor=found.minor,
    )
