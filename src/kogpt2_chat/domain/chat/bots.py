"""The roster: which bots there are, and who they are."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """One NPC. Its id is its answer topic, its registered model and its Airflow asset.

    Attributes:
        id: the wire name, e.g. ``ChatbotA``.
        name: what players see.
        persona: one sentence in Korean about what it talks about.
        label: its rows in ``ChatbotData.csv`` (0 everyday, 1 farewell, 2 love).
        prompt_mark: control token that its prompts begin with, so that one base can know all three.
    """

    id: str
    name: str
    persona: str
    label: int
    prompt_mark: str


BOTS: Final = (
    Bot(id="ChatbotA", name="마루", persona="일상 대화와 별마루 길 안내", label=0, prompt_mark="<unused2>"),
    Bot(id="ChatbotB", name="온유", persona="위로와 공감", label=1, prompt_mark="<unused3>"),
    Bot(id="ChatbotC", name="설이", persona="사랑과 관계 이야기", label=2, prompt_mark="<unused4>"),
)
BOT_IDS: Final = tuple(bot.id for bot in BOTS)
BOT_BY_ID: Final = {bot.id: bot for bot in BOTS}
