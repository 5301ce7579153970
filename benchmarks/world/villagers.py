"""Headless players who live in the world: `python -m benchmarks.world.villagers`, a process of its own.

They walk, chat, ask bots and rate the answers; they lose the connection and come back, at times too late for their
seat; and some leave, and come again as new guests through the door. Like the walkers, they print one line of JSON when
the measurement begins, and one with the results.
"""

import argparse
import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import uvloop

from benchmarks.world.client import TEXT
from benchmarks.world.guests import sign_in
from benchmarks.world.walkers import RUN, Walker, enter_all, pace, walk
from kogpt2_chat.domain.chat.bots import BOT_IDS

CHAT_EVERY_S: Final = 20.0
ASK_EVERY_S: Final = 60.0
BREAK_EVERY_S: Final = 300.0
"""How often a player's connection ends, in one way or another."""
_BREAKS: Final = ("drop",) * 6 + ("long_drop",) + ("leave",) * 3
_AWAY_S: Final = (0.2, 5.0)
_LONG_AWAY_S: Final = 35.0
"""Longer than a seat is held."""
_CLOSE_S: Final = 10.0
_REENTER_S: Final = 2.0


class Villager(Walker):
    """A player who lives in the world.

    Attributes:
        done: how often the player has done what, and what came of it.
    """

    def __init__(self, number: int, moves: list[bytes], port: int) -> None:
        super().__init__(number, moves)
        self._port, self._draw = port, random.Random(number)  # noqa: S311 - a load, not a secret
        self._ids, self._generations = itertools.count(1), itertools.count(2)
        self._is_in = asyncio.Event()
        self._seat: dict[str, Any] = {}
        self._last = 0
        self._waiting: list[str] = []
        self.done: Counter[str] = Counter()

    async def live(self, until_s: float) -> None:
        """Do what people do, until a time of ``time.perf_counter``."""
        acts: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (CHAT_EVERY_S, self._chat), (ASK_EVERY_S, self._ask), (BREAK_EVERY_S, self._break)
        ]  # fmt: skip
        begun_s = time.perf_counter()
        due_s = [begun_s + self._draw.uniform(0, every_s) for every_s, _ in acts]
        while (next_s := min(due_s)) < until_s:
            await asyncio.sleep(next_s - time.perf_counter())
            which = due_s.index(next_s)
            every_s, act = acts[which]
            await act()
            due_s[which] = max(time.perf_counter(), next_s + every_s * self._draw.uniform(0.5, 1.5))
        await asyncio.sleep(until_s - time.perf_counter())

    async def _chat(self) -> None:
        self.done["lines"] += 1
        self._say({"t": "say", "id": f"s{next(self._ids)}", "text": f"오늘 호수가 참 예쁘네요 {next(self._ids)}"})

    async def _ask(self) -> None:
        self.done["questions"] += 1
        question = f"q{next(self._ids)}"
        self._waiting = [*self._waiting[-7:], question]
        text = f"별마루는 어떤 곳이야? {question}"
        self._say({"t": "ask", "id": question, "bot": self._draw.choice(BOT_IDS), "text": text, "shared": True})

    async def _break(self) -> None:
        way = self._draw.choice(_BREAKS)
        self.done["newcomers" if way == "leave" else "reconnects"] += 1
        client, self.client = self.client, None
        if way == "leave" and client is not None:
            client.send(TEXT, b'{"t":"leave"}')
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(client.lost), _CLOSE_S)
            self._seat, self._waiting, self.cookie = {}, [], ""
        if client is not None:
            client.abort()
        await asyncio.sleep(_LONG_AWAY_S if way == "long_drop" else self._draw.uniform(*_AWAY_S))
        await self._come_back()

    async def _come_back(self) -> None:
        while True:
            self._is_in.clear()
            self.resumed = {**self._seat, "last": self._last, "waiting": self._waiting} if self._seat else {}
            self._waiting_from = (self._sequence + 1) & 0xFFFF  # moves that were lost with the connection have no echo
            try:
                self.cookie = self.cookie or await self._sign_in()
                await self.enter("127.0.0.1", self._port)
                await asyncio.wait_for(self._is_in.wait(), _CLOSE_S)
            except (OSError, TimeoutError) as error:
                self.done[f"failed: {type(error).__name__}"] += 1
                client, self.client = self.client, None
                if client is not None:
                    client.abort()
                await asyncio.sleep(_REENTER_S)
            else:
                return

    async def _sign_in(self) -> str:
        name = f"{RUN}{self.number}걷{next(self._generations)}"
        return await sign_in("127.0.0.1", self._port, name, source=self.source)

    def _say(self, command: dict[str, Any]) -> None:
        if self.client is not None:
            self.client.send(TEXT, json.dumps(command, ensure_ascii=False).encode())

    def _receive(self, opcode: int, payload: bytes) -> None:
        super()._receive(opcode, payload)
        if opcode != TEXT:
            return
        event = json.loads(payload)
        kind = event["t"]
        self._last = event["n"] if kind == "welcome" else max(self._last, event["n"])
        if kind == "refusal":
            self.done[f"refused: {event['reason']}"] += 1
            self._waiting = [question for question in self._waiting if question != event["of"]]
            return
        self._is_in.set()
        if kind == "welcome":
            self._seat = {"seat": event["you"], "epoch": event["epoch"]}
        elif kind in ("answered", "unanswered") and event.get("id") in self._waiting:
            self._waiting.remove(event["id"])
            self.done["answers" if kind == "answered" else f"unanswered: {event['reason']}"] += 1
            if turn := event.get("turn"):
                self._say({"t": "rate", "turn": turn, "up": True})
        elif kind == "noted":
            self.done["thumbs"] += 1


async def run(arguments: argparse.Namespace) -> None:
    """Enter, live and print."""
    moves = walk()
    villagers = [Villager(number, moves, arguments.port) for number in range(arguments.players)]
    await enter_all(villagers, "127.0.0.1", arguments.port)
    print(json.dumps({"measuring": arguments.seconds}), flush=True)
    until_s = time.perf_counter() + arguments.seconds
    late, *_ = await asyncio.gather(pace(villagers, until_s), *(villager.live(until_s) for villager in villagers))
    echoes = sorted(echo for villager in villagers for echo in villager.echoes_ms)
    done = sum((villager.done for villager in villagers), Counter[str]())
    result = {
        "players": len(villagers), "late_turns": late, "done": dict(sorted(done.items())),
        "lost": sum(villager.client is not None and villager.client.lost.done() for villager in villagers),
        "p95_ms": echoes[len(echoes) * 95 // 100] if echoes else float("nan"),
    }  # fmt: skip
    print(json.dumps(result), flush=True)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--players", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
