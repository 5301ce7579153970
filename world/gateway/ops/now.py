"""The figures of this moment: players here, questions that wait, and how far the indexer is behind."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, WORKER_GROUP
from kogpt2_chat.ports import Topics
from world.gateway.ops.denied import Denied
from world.gateway.ops.work import CallThreads, ResultCache
from world.gateway.rooms.rooms import Rooms

LIMIT_S: Final = 5.0

Figures = list[dict[str, object]]


def waiting_questions(topics: Topics) -> int:
    """Return how many questions in Kafka have no published reply yet; blocks.

    Raises:
        Unavailable: Kafka does not answer in time.
    """
    starts, ends = topics.start_positions(QUESTION_TOPIC), topics.end_positions(QUESTION_TOPIC)
    committed = topics.committed_positions(QUESTION_TOPIC, WORKER_GROUP)
    begins = {partition: max(start, committed.get(partition, 0)) for partition, start in starts.items()}
    return sum(max(0, end - begins.get(partition, 0)) for partition, end in ends.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """Reads the figures. A server that is away leaves the others' figures as they are.

    Attributes:
        rooms: the players at this gateway.
        waiting: returns how many questions no worker has answered yet; blocks.
        behind_s: returns how many seconds the indexer is behind; blocks.
        kafka: runs the question to Kafka.
        indexer: runs the question to the indexer.
    """

    rooms: Rooms
    waiting: Callable[[], int]
    behind_s: Callable[[], float]
    # Of two servers, one that hangs must not hold the threads that the other one needs.
    kafka: CallThreads = field(default_factory=lambda: CallThreads("Kafka", threads=1, waiting=2, limit_s=LIMIT_S))
    indexer: CallThreads = field(
        default_factory=lambda: CallThreads("the indexer", threads=1, waiting=2, limit_s=LIMIT_S)
    )
    _recent: ResultCache[Figures] = field(default_factory=ResultCache, init=False)

    async def show(self, request: Request) -> Response:
        """``GET /ops/api/now``: the figures; a figure without a value has the reason."""
        del request
        return JSONResponse({"id": "now", "numbers": await self._recent.get("now", self._read)})

    async def _read(self) -> Figures:
        waiting, behind_s = await asyncio.gather(
            self._value(self.kafka, self.waiting), self._value(self.indexer, self.behind_s)
        )
        rooms = len({seat.room for seat in self.rooms})
        return [
            _figure("players", "이 게이트웨이의 플레이어", "players at this gateway", "number", len(self.rooms)),
            _figure("rooms", "플레이어가 있는 방", "rooms with players", "number", rooms),
            _figure("waiting", "답을 기다리는 질문", "questions that wait for an answer", "number", waiting),
            _figure("behind", "색인이 늦는 시간(초)", "seconds that the index is behind", "number", behind_s),
        ]

    async def _value(self, threads: CallThreads, read: Callable[[], float]) -> float | Denied:
        try:
            return await threads.run(read)
        except Denied as denied:
            return denied


def _figure(name: str, ko: str, en: str, kind: str, value: float | Denied) -> dict[str, object]:
    title = {"id": name, "title": {"ko": ko, "en": en}, "kind": kind}
    if isinstance(value, Denied):
        return {**title, "value": None, "reason": value.what}
    return {**title, "value": value}
