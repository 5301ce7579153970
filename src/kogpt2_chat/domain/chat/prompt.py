"""The chat format of KoGPT2: control tokens, prompts and the clean-up of answers.

The format is that of the public KoGPT2 chatbots: ``<usr>`` question ``<unused1>`` ``<sys>`` answer ``</s>``. From
format 2 on, the token of the bot comes first. The card of a version says which format it was trained with. Control
tokens are added to a prompt as ids; text from players or corpora is never tokenised into a control token.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.domain.text.characters import one_line

AnswerRule = Literal["unreadable_bytes", "normalised", "control_tokens", "cut"]

BEGIN: Final = "<s>"
END: Final = "</s>"
USER: Final = "<usr>"
PAD: Final = "<pad>"
SYSTEM: Final = "<sys>"
UNKNOWN: Final = "<unk>"
SENTENCE: Final = "<unused1>"

PROMPT_FORMAT: Final = 2
"""Format of new versions. Versions of format 1 have no bot token and are still served in their own format."""
_FIRST_FORMAT_WITH_BOT: Final = 2

# The first 109 ids of skt/kogpt2-base-v2, in order: <s> is 0, </s> 1, <usr> 2, <pad> 3, <sys> 4, <unk> 5, and so on.
CONTROL_TOKENS: Final = (
    BEGIN, END, USER, PAD, SYSTEM, UNKNOWN, "<mask>", "<d>", "</d>", *(f"<unused{n}>" for n in range(100)),
)  # fmt: skip
CONTROL_ID_BY_TOKEN: Final = {token: id_ for id_, token in enumerate(CONTROL_TOKENS)}
END_ID: Final = CONTROL_ID_BY_TOKEN[END]
USER_ID: Final = CONTROL_ID_BY_TOKEN[USER]
PAD_ID: Final = CONTROL_ID_BY_TOKEN[PAD]
SYSTEM_ID: Final = CONTROL_ID_BY_TOKEN[SYSTEM]
UNKNOWN_ID: Final = CONTROL_ID_BY_TOKEN[UNKNOWN]
SENTENCE_ID: Final = CONTROL_ID_BY_TOKEN[SENTENCE]

MAX_SERVED_ANSWER_CHARS: Final = 300
"""Default of the setting that limits an answer to a player."""

_LONGEST_TOKEN: Final = max(map(len, CONTROL_TOKENS))
_CONTROL_TOKEN: Final = re.compile(r"<(?:s|/s|usr|pad|sys|unk|mask|d|/d|unused\d{1,2})>")
_REPLACEMENT: Final = "\ufffd"


def is_control_token(token: str) -> bool:
    """Check whether a vocabulary entry is spelled like a control token."""
    return _CONTROL_TOKEN.fullmatch(token) is not None


def has_control_token(text: str) -> bool:
    """Check whether a text contains the spelling of a control token."""
    return _CONTROL_TOKEN.search(text) is not None


def bot_token_ids(bot: str, prompt_format: int = PROMPT_FORMAT) -> tuple[int, ...]:
    """Return the token ids that the prompts of a bot begin with.

    Args:
        bot: the id of the bot. An empty or unknown id has no token.
        prompt_format: the format of the version that reads the prompt.

    Returns:
        The id of the bot's token, or an empty tuple if the format or the bot has none.
    """
    if prompt_format < _FIRST_FORMAT_WITH_BOT or bot not in BOT_BY_ID:
        return ()
    return (CONTROL_ID_BY_TOKEN[BOT_BY_ID[bot].prompt_symbol],)


def prompt_ids(question_ids: Sequence[int], max_tokens: int, first_ids: Sequence[int] = ()) -> list[int]:
    """Build the prompt of a tokenised question; a question that is too long is cut at its end.

    Args:
        question_ids: token ids of the question's text.
        max_tokens: maximum length of the whole prompt.
        first_ids: token ids in front, from :func:`bot_token_ids`.

    Returns:
        Token ids of the prompt.
    """
    room = max(max_tokens - 3 - len(first_ids), 0)
    return [*first_ids, USER_ID, *question_ids[:room], SENTENCE_ID, SYSTEM_ID]


def answer_text(text: str, max_chars: int = MAX_SERVED_ANSWER_CHARS) -> str:
    """Return the output of the model as an answer: NFC, without control tokens and characters, cut to ``max_chars``."""
    return answer_steps(text, max_chars)[-1][1]


def answer_steps(text: str, max_chars: int = MAX_SERVED_ANSWER_CHARS) -> tuple[tuple[AnswerRule, str], ...]:
    """Return the steps of :func:`answer_text`: each rule with the text after it."""
    readable = text.replace(_REPLACEMENT, "")
    normal = one_line(readable)
    plain = one_line(_without_control_tokens(normal))
    return (
        ("unreadable_bytes", readable),
        ("normalised", normal),
        ("control_tokens", plain),
        ("cut", plain[:max_chars].rstrip()),
    )


def _without_control_tokens(text: str) -> str:
    """Remove control tokens, also those that form when an inner one is removed, in one pass over the text."""
    kept: list[str] = []
    openings: list[int] = []
    for char in text:
        if char == "<":
            openings.append(len(kept))
        kept.append(char)
        if char == ">" and openings:
            start = openings.pop()
            if len(kept) - start <= _LONGEST_TOKEN and is_control_token("".join(kept[start:])):
                del kept[start:]
    return "".join(kept)
