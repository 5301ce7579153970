"""A bot that echoes, instead of a worker with a model: `python -m benchmarks.world.echo`, a process of its own."""

import json
from contextlib import closing, suppress
from typing import Final

from benchmarks.world.guests import KEYS
from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import answer_headers, read_question
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import load_settings

_POLL_S: Final = 1.0


def answers(records: list[Record]) -> list[Outgoing]:
    """Return the answer to each question, as a worker publishes it."""
    found = []
    for record in records:
        with suppress(InvalidMessage):
            question = read_question(record.value, record.partition, record.offset, keys=KEYS)
            headers = answer_headers(question, model_version=1, epoch=1, latency_ms=0, fallback=None)
            found.append(
                Outgoing(
                    topic=question.bot, key=question.sender.encode(), value=question.text.encode(), headers=headers
                )
            )
    return found


def main() -> None:
    """Echo until the process is stopped."""
    topics = bootstrap.topics(load_settings())
    with closing(topics.follow([QUESTION_TOPIC])) as follower:
        print(json.dumps({"echoing": True}), flush=True)
        while True:
            if replies := answers(list(follower.poll(_POLL_S))):
                topics.send(replies)


if __name__ == "__main__":
    main()
