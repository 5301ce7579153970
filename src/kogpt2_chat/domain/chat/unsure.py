"""Answers of a bot that does not know what to say, in the voice of each bot."""

import hashlib
from collections.abc import Mapping
from typing import Final

UNSURE_BY_BOT: Final[Mapping[str, tuple[str, ...]]] = {
    "ChatbotA": (
        "음, 그건 제가 아직 몰라요. 다르게 물어봐 주시겠어요?",
        "앗, 그 이야기는 처음 들어요. 조금 더 알려 주실래요?",
        "저도 아직 배우는 중이라 그건 잘 모르겠어요.",
        "그건 제가 답을 못 찾겠어요. 별마루 이야기라면 자신 있어요!",
        "길은 잘 아는데 그건 아직 모르겠네요. 다시 한번 말해 주세요.",
        "무슨 말씀인지 알 듯 말 듯해요. 쉽게 풀어 주시겠어요?",
    ),
    "ChatbotB": (
        "제가 잘 알아듣지 못했어요. 조금 더 들려줄래요?",
        "그 마음을 아직 다 헤아리지 못하겠어요. 천천히 말해 줘요.",
        "어떻게 답해야 좋을지 아직 모르겠어요. 그래도 듣고 있어요.",
        "그건 제가 아직 배우지 못했어요. 다른 말로 들려줄 수 있어요?",
        "잘 몰라서 함부로 말하지 않을게요. 어떤 일이었는지 들려줘요.",
        "제가 아는 게 적어서 미안해요. 조금만 더 이야기해 줄래요?",
    ),
    "ChatbotC": (
        "음, 그건 저도 아직 모르겠어요. 조금 더 말해 줄래요?",
        "솔직히 말하면 그건 잘 몰라요. 다르게 물어봐 줘요!",
        "어라, 그건 처음 듣는 이야기예요. 어떤 상황이에요?",
        "제가 아직 못 배운 이야기네요. 차근차근 들려줘요.",
        "아는 척은 안 할래요. 그건 정말 모르겠어요!",
        "무슨 뜻인지 아리송해요. 한 번만 더 풀어 말해 줘요.",
    ),
}


def unsure_answer(bot: str, turn_id: str) -> str:
    """Return one of the bot's texts, chosen by a hash of the turn id: the same turn always gets the same text."""
    texts = UNSURE_BY_BOT.get(bot) or UNSURE_BY_BOT["ChatbotA"]
    return texts[int.from_bytes(hashlib.sha256(turn_id.encode()).digest()[:4]) % len(texts)]
