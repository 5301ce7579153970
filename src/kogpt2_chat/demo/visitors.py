"""The demo's players in the world: they walk to the bots, ask, and say what they think of the answers.

Whoever opens the world's page meanwhile sees them.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from kogpt2_chat.client.ask import ReceivedAnswer, Utterance
from kogpt2_chat.client.feedback import Opinion
from kogpt2_chat.client.world_player import Event, WorldPlayer, places
from kogpt2_chat.errors import Unavailable

_TRIES: Final = 20
_TALKS_FROM_M: Final = 2.5
"""How near a player comes to a bot."""
_ASK_EVERY_S: Final = 2.1
"""The gateway lets a player ask every two seconds, and mutes for a while whoever keeps asking faster."""
_GREETINGS: Final = ("안녕하세요!", "여러분 반가워요~", "오늘도 별마루!", "다들 뭐 해요?")


class Visitors(Protocol):
    """Players who talk with bots and give feedback."""

    def ask(self, utterances: Sequence[Utterance]) -> list[ReceivedAnswer]:
        """Return one answer per question, in the same order."""
        ...

    def rate(self, opinions: Sequence[Opinion]) -> int:
        """Give feedback on answers to these players' questions; return how many opinions arrived."""
        ...

    def leave(self) -> None:
        """Let all players leave the world."""
        ...


@dataclass
class WorldVisitors:
    """Players in the world, each with a connection of its own. The same name is the same player throughout a demo.

    Attributes:
        url: the gateway's address.
        pause: sleeps for some seconds.
    """

    url: str
    pause: Callable[[float], None] = time.sleep
    _player_by_name: dict[str, WorldPlayer] = field(default_factory=dict)
    _player_by_turn: dict[str, WorldPlayer] = field(default_factory=dict)

    def ask(self, utterances: Sequence[Utterance]) -> list[ReceivedAnswer]:
        """Let all players enter and ask their questions at the same time. They stay until :meth:`leave`.

        Raises:
            Unavailable: the gateway does not answer, or an answer did not arrive in time.
        """
        stands = _stands(self.url)
        numbered = sorted(enumerate(utterances), key=lambda one: (one[1].sender, one[1].bot, one[0]))
        by_sender = [list(group) for _, group in itertools.groupby(numbered, key=lambda one: one[1].sender)]
        answers: dict[int, ReceivedAnswer] = {}
        with ThreadPoolExecutor(max_workers=max(1, len(by_sender)), thread_name_prefix="player") as pool:
            for found in pool.map(lambda group: self._visit(group, stands), by_sender):
                answers.update(found)
        return [answers[number] for number in range(len(utterances))]

    def rate(self, opinions: Sequence[Opinion]) -> int:
        """Let the players say what they think; each knows only the turns of its own questions.

        Raises:
            Unavailable: an opinion did not arrive.
        """
        by_player: dict[str, list[Opinion]] = {}
        for opinion in opinions:
            by_player.setdefault(self._player_by_turn[opinion.turn_id].name, []).append(opinion)
        with ThreadPoolExecutor(max_workers=max(1, len(by_player)), thread_name_prefix="player") as pool:
            list(pool.map(lambda one: self._rate(self._player_by_name[one[0]], one[1]), by_player.items()))
        return len(opinions)

    def leave(self) -> None:
        """Let all players leave the world."""
        for player in self._player_by_name.values():
            player.leave()

    def _visit(
        self, utterances: Sequence[tuple[int, Utterance]], stands: Mapping[str, tuple[float, float]]
    ) -> dict[int, ReceivedAnswer]:
        name = utterances[0][1].sender
        player = self._player_by_name.get(name)
        if player is None:
            player = WorldPlayer(self.url, name, store=True, learn=utterances[0][1].train)
            self._player_by_name[name] = player
        player.enter()
        player.say(_GREETINGS[len(name) % len(_GREETINGS)])
        answers: dict[int, ReceivedAnswer] = {}
        here, may_ask_at_s = "", time.monotonic()
        for number, utterance in utterances:
            if utterance.bot != here:
                here = utterance.bot
                player.walk_to(*_beside(stands[here], len(self._player_by_name) + number), self.pause)
            self.pause(max(0.0, may_ask_at_s - time.monotonic()))
            may_ask_at_s = time.monotonic() + _ASK_EVERY_S
            answers[number] = self._ask(player, utterance)
            self._player_by_turn[answers[number].turn_id] = player
        player.send("emote", kind="wave")
        return answers

    def _ask(self, player: WorldPlayer, utterance: Utterance) -> ReceivedAnswer:
        for _ in range(_TRIES):
            asked_at_s = time.monotonic()
            event = player.answer_to(player.ask(utterance.bot, utterance.text, shared=True))
            if event["t"] == "answered":
                return _received(event, utterance, time.monotonic() - asked_at_s)
            if event["t"] != "refusal":
                raise Unavailable(f"{utterance.bot} did not answer {player.name}: {event['reason']}")
            self.pause(event.get("wait_s", 0) + 0.1)
        raise Unavailable(f"{utterance.bot} was too busy for {player.name}: {_TRIES} tries")

    def _rate(self, player: WorldPlayer, opinions: Sequence[Opinion]) -> None:
        for opinion in opinions:
            for _ in range(_TRIES):
                sent = _send_opinion(player, opinion)
                event = player.wait_for(partial(_confirms, sent=sent, turn=opinion.turn_id))
                if event["t"] == "noted":
                    break
                self.pause(event.get("wait_s", 0) + 0.1)
            else:
                raise Unavailable(f"the opinion of {player.name} on {opinion.turn_id} was refused {_TRIES} times")


def _send_opinion(player: WorldPlayer, opinion: Opinion) -> str:
    """Send an opinion; return what a refusal names."""
    if opinion.kind == "correction":
        player.send("teach", turn=opinion.turn_id, text=opinion.text)
        return "teach"
    player.send("rate", turn=opinion.turn_id, up=opinion.kind == "up")
    return "rate"


def _confirms(event: Event, sent: str, turn: str) -> bool:
    if event["t"] == "noted":
        return bool(event["turn"] == turn)
    return bool(event["t"] == "refusal" and event["of"] == sent)


def _received(event: Event, utterance: Utterance, seconds: float) -> ReceivedAnswer:
    source = event.get("source", "model")
    return ReceivedAnswer(
        bot=utterance.bot,
        sender=utterance.sender,
        question=utterance.text,
        answer=event.get("text", ""),
        turn_id=event.get("turn", ""),
        version=str(event.get("version", 0)),
        epoch=0,
        latency_ms=round(seconds * 1000),
        fallback=None if source == "model" else source,
    )


def _stands(url: str) -> dict[str, tuple[float, float]]:
    """Return where each bot stands."""
    return {stand["bot"]: (stand["x"], stand["z"]) for stand in places(url)["bots"]}


def _beside(stand: tuple[float, float], number: int) -> tuple[float, float]:
    """Return a position near a bot; numbers spread the players around its southern side."""
    angle = (number % 7 - 3) / 7 * math.pi * 0.8
    return stand[0] + _TALKS_FROM_M * math.sin(angle), stand[1] + _TALKS_FROM_M * math.cos(angle)
