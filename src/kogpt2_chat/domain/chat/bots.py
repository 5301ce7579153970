"""All bots, with their ids, names and personas."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """A chatbot. Its id is also the name of its answer topic, its registered model and its Airflow asset.

    Attributes:
        id: the name in messages, e.g. ``ChatbotA``.
        name: the name that players see.
        persona: the topics that it talks about, in Korean.
        label: the label of its rows in ``ChatbotData.csv`` (0 everyday life, 1 break-ups, 2 love).
        prompt_symbol: the control token that its prompts begin with, so that one base model can serve all three bots.
    """

    id: str
    name: str
    persona: str
    label: int
    prompt_symbol: str


BOTS: Final = (
    Bot(id="ChatbotA", name="마루", persona="일상 대화와 별마루 길 안내", label=0, prompt_symbol="<unused2>"),
    Bot(id="ChatbotB", name="온유", persona="위로와 공감", label=1, prompt_symbol="<unused3>"),
    Bot(id="ChatbotC", name="설이", persona="사랑과 관계 이야기", label=2, prompt_symbol="<unused4>"),
)
BOT_IDS: Final = tuple(bot.id for bot in BOTS)
BOT_BY_ID: Final = {bot.id: bot for bot in BOTS}
