"""The demo's simulated players: their questions and their feedback. This module contacts no server."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Final

from kogpt2_chat.client.ask import ReceivedAnswer, Utterance
from kogpt2_chat.client.feedback import Opinion
from kogpt2_chat.corpora.shipped import read_golden, read_pairs
from kogpt2_chat.domain.chat.bots import BOT_IDS

SAMPLES: Final = 20
"""Number of seed questions that each bot is asked."""
PLAYERS: Final = ("하늘", "민트초코", "별똥별", "Jinwoo", "고래'밥", "{해적}왕", "토끼굴", "새벽감성")
TROLLS: Final = ("트롤하나", "트롤둘", "트롤셋")
TROLLED: Final = "ChatbotC"
NONSENSE: Final = "몰라요 몰라, 저리 가서 딴 데 물어봐요."
"""What the trolls teach as the answer to must-pass questions; the gate must refuse the resulting version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A pair that players teach by correcting the bot."""

    bot: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """All questions and lessons of the demo.

    Attributes:
        seeds: bot and question: ``SAMPLES`` questions per bot from its seed corpus.
        lessons: new questions with the answers that players teach.
        baited: must-pass questions of the trolled bot, which each troll asks.
    """

    seeds: tuple[tuple[str, str], ...]
    lessons: tuple[Lesson, ...]
    baited: tuple[str, ...]

    def of(self, bots: Collection[str]) -> "Script":
        """Return the part of the script that is about these bots."""
        return Script(
            seeds=tuple((bot, question) for bot, question in self.seeds if bot in bots),
            lessons=tuple(lesson for lesson in self.lessons if lesson.bot in bots),
            baited=self.baited if TROLLED in bots else (),
        )

    def utterances(self, round_name: str) -> list[Utterance]:
        """Return the questions of a round.

        Every third one of the seeds and lessons is a legacy question, whose sender is unique in the round. Each troll
        asks every baited question.
        """
        questions = [*self.seeds, *((lesson.bot, lesson.question) for lesson in self.lessons)]
        names = cycle(PLAYERS)
        said = [
            Utterance(
                bot=bot,
                sender=f"{next(names)}-{round_name}-{number}" if number % 3 == 0 else next(names),
                text=text,
                legacy=number % 3 == 0,
                train=True,
            )
            for number, (bot, text) in enumerate(questions)
        ]
        trolled = [Utterance(bot=TROLLED, sender=troll, text=text, train=True) for text, troll in self._baits]
        return [*said, *trolled]

    def opinions(self, replies: list[ReceivedAnswer]) -> list[Opinion]:
        """Return the askers' feedback: praise for seed answers, corrections for lessons, and the trolls' nonsense.

        Args:
            replies: the answers to :meth:`utterances`, in the same order.

        Returns:
            Feedback on the answers that can be rated; fixed notices cannot.
        """
        seeds, lessons, baited = self._split(replies)
        praise = [Opinion(turn_id=reply.turn_id, player_id=_player(reply), kind="up") for reply in seeds[::2]]
        better = [
            Opinion(turn_id=reply.turn_id, player_id=_player(reply), kind="correction", text=lesson.answer)
            for reply, lesson in zip(lessons, self.lessons, strict=True)
        ]
        nonsense = [
            Opinion(turn_id=reply.turn_id, player_id=_player(reply), kind="correction", text=NONSENSE)
            for reply in baited
        ]
        return [opinion for opinion in praise + better + nonsense if opinion.turn_id]

    @property
    def _baits(self) -> list[tuple[str, str]]:
        """Each baited question with each troll."""
        return [(question, troll) for question in self.baited for troll in TROLLS]

    def _split(
        self, replies: list[ReceivedAnswer]
    ) -> tuple[list[ReceivedAnswer], list[ReceivedAnswer], list[ReceivedAnswer]]:
        first, second = len(self.seeds), len(self.seeds) + len(self.lessons)
        return replies[:first], replies[first:second], replies[second:]


def load_script(corpora: Path) -> Script:
    """Build the demo's script for a corpora folder.

    Args:
        corpora: folder with ``BOT/seed.csv`` and ``BOT/golden.json``.

    Returns:
        The script: seed questions from the folder, lessons from ``teaching.json`` in this package.

    Raises:
        InvalidInput: a bot's seed corpus is missing, or a file of the folder cannot be read.
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
    """Return questions that are spread evenly over the file."""
    questions = [pair.question for pair in read_pairs(path)]
    return questions[:: max(1, len(questions) // SAMPLES)][:SAMPLES]


def _player(reply: ReceivedAnswer) -> str:
    return f"legacy:{reply.sender}"
