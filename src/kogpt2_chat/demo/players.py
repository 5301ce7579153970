"""Who the simulated players are, what they say, and what they think of the answers. No server is known here."""

import json
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Final

from kogpt2_chat.client.ask import Reply, Utterance
from kogpt2_chat.client.feedback import Opinion
from kogpt2_chat.corpora.shipped import read_golden, read_pairs
from kogpt2_chat.domain.chat.bots import BOT_IDS

SAMPLES: Final = 20
"""Seed questions asked of each bot."""
PLAYERS: Final = ("하늘", "민트초코", "별똥별", "Jinwoo", "고래'밥", "{해적}왕", "토끼굴", "새벽감성")
TROLLS: Final = ("트롤하나", "트롤둘", "트롤셋")
TROLLED: Final = "ChatbotC"
NONSENSE: Final = "몰라요 몰라, 저리 가서 딴 데 물어봐요."
"""What the trolls teach in place of the answers that a bot must know: the gate has to refuse the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A pair that players teach by correcting the bot."""

    bot: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """All that is said in the demo.

    Attributes:
        seeds: ``SAMPLES`` questions a bot that stand in its seed corpus.
        lessons: new questions with the answers that the players want.
        baited: the must-pass questions of the trolled bot.
    """

    seeds: tuple[tuple[str, str], ...]
    lessons: tuple[Lesson, ...]
    baited: tuple[str, ...]

    def utterances(self, round_name: str) -> list[Utterance]:
        """Every question once; each third in the legacy frame, whose senders are used once a round."""
        said = [*self.seeds, *((lesson.bot, lesson.question) for lesson in self.lessons)]
        said += [(TROLLED, question) for question in self.baited]
        names = cycle(PLAYERS)
        return [
            Utterance(
                bot=bot,
                sender=f"{next(names)}-{round_name}-{place}" if place % 3 == 0 else next(names),
                text=text,
                legacy=place % 3 == 0,
                train=True,
            )
            for place, (bot, text) in enumerate(said)
        ]

    def opinions(self, replies: list[Reply]) -> list[Opinion]:
        """Praise for seed answers, a correction for each lesson, complaints, and the trolls' nonsense.

        Args:
            replies: the answers to :meth:`utterances`, in order.

        Returns:
            What the players say about them.
        """
        seeds, lessons, baited = self._parts(replies)
        praise = [Opinion(turn_id=reply.turn_id, player_id=_player(reply), kind="up") for reply in seeds[::2]]
        blame = [Opinion(turn_id=reply.turn_id, player_id=_player(reply), kind="down") for reply in lessons]
        better = [
            Opinion(turn_id=reply.turn_id, player_id="선생님", kind="correction", text=lesson.answer)
            for reply, lesson in zip(lessons, self.lessons, strict=True)
        ]
        nonsense = [
            Opinion(turn_id=reply.turn_id, player_id=troll, kind="correction", text=NONSENSE)
            for reply in baited
            for troll in TROLLS
        ]
        return praise + blame + better + nonsense

    def _parts(self, replies: list[Reply]) -> tuple[list[Reply], list[Reply], list[Reply]]:
        first, second = len(self.seeds), len(self.seeds) + len(self.lessons)
        return replies[:first], replies[first:second], replies[second:]


def load_script(corpora: Path) -> Script:
    """The demo's script for a corpora folder.

    Args:
        corpora: folder with ``BOT/seed.csv`` and ``BOT/golden.json``.

    Returns:
        The script: seed questions from the folder, lessons from the file beside this module.

    Raises:
        InvalidInput: the folder lacks a bot's seed corpus, or a file of it cannot be read.
    """
    text = files(__package__).joinpath("teaching.json").read_text(encoding="utf-8")
    lessons = tuple(Lesson(bot=bot, **lesson) for bot, taught in json.loads(text).items() for lesson in taught)
    golden = read_golden(corpora / TROLLED / "golden.json")
    return Script(
        seeds=tuple((bot, question) for bot in BOT_IDS for question in _sample(corpora / bot / "seed.csv")),
        lessons=lessons,
        baited=tuple(asked.question for asked in golden if asked.must_pass),
    )


def _sample(path: Path) -> list[str]:
    """Questions spread evenly over the file."""
    questions = [pair.question for pair in read_pairs(path)]
    return questions[:: max(1, len(questions) // SAMPLES)][:SAMPLES]


def _player(reply: Reply) -> str:
    return f"legacy:{reply.sender}"
