"""KoGPT2's chat format: which control tokens there are, what a question and an answer look like as text.

The format is that of the KoGPT2 chatbot lineage, ``<usr>`` question ``<unused1>`` ``<sys>`` answer ``</s>``, with the
bot's own token in front from format 2 on. A version's card says which format it was trained in.
Control tokens are put in as ids by whoever builds a prompt; text, from players or from a corpus, can never
become one.
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
"""What new versions are trained in; versions of format 1 have no bot token and speak on as they were trained."""
_FIRST_FORMAT_WITH_BOT: Final = 2

# The first 109 ids of skt/kogpt2-base-v2, in order: <s> is 0, </s> 1, <usr> 2, <pad> 3, <sys> 4, <unk> 5 ...
CONTROL_TOKENS: Final = (
    BEGIN, END, USER, PAD, SYSTEM, UNKNOWN, "<mask>", "<d>", "</d>", *(f"<unused{n}>" for n in range(100)),
)  # fmt: skip
CONTROL_ID_BY_TOKEN: Final = {token: id_ for id_, token in enumerate(CONTROL_TOKENS)}
BEGIN_ID: Final = CONTROL_ID_BY_TOKEN[BEGIN]
END_ID: Final = CONTROL_ID_BY_TOKEN[END]
USER_ID: Final = CONTROL_ID_BY_TOKEN[USER]
PAD_ID: Final = CONTROL_ID_BY_TOKEN[PAD]
SYSTEM_ID: Final = CONTROL_ID_BY_TOKEN[SYSTEM]
UNKNOWN_ID: Final = CONTROL_ID_BY_TOKEN[UNKNOWN]
SENTENCE_ID: Final = CONTROL_ID_BY_TOKEN[SENTENCE]

# An answer outside these bounds helps nobody to judge it; the wire's own bound is a setting.
MAX_ANSWER_CHARS: Final = 300

_LONGEST_TOKEN: Final = max(map(len, CONTROL_TOKENS))
_CONTROL_TOKEN: Final = re.compile(r"<(?:s|/s|usr|pad|sys|unk|mask|d|/d|unused\d{1,2})>")
_REPLACEMENT: Final = "\ufffd"


def is_control_token(token: str) -> bool:
    """Whether a vocabulary entry is a control token by its spelling."""
    return _CONTROL_TOKEN.fullmatch(token) is not None


def has_control_token(text: str) -> bool:
    """Whether the spelling of a control token stands anywhere in a text."""
    return _CONTROL_TOKEN.search(text) is not None


def bot_ids(bot: str, prompt_format: int = PROMPT_FORMAT) -> tuple[int, ...]:
    """What a bot's prompts begin with in a format: its token's id, or nothing.

    Args:
        bot: the bot; empty, or one that the roster does not know, has no token.
        prompt_format: of the version that reads the prompt.

    Returns:
        One id, or none.
    """
    if prompt_format < _FIRST_FORMAT_WITH_BOT or bot not in BOT_BY_ID:
        return ()
    return (CONTROL_ID_BY_TOKEN[BOT_BY_ID[bot].prompt_mark],)


def prompt_ids(question_ids: Sequence[int], max_tokens: int, first_ids: Sequence[int] = ()) -> list[int]:
    """The prompt of a question that is already token ids; a too long question keeps its beginning.

    Args:
        question_ids: of the question's text.
        max_tokens: bound of the whole prompt.
        first_ids: what it begins with, from :func:`bot_ids`.

    Returns:
        Token ids.
    """
    room = max(max_tokens - 3 - len(first_ids), 0)
    return [*first_ids, USER_ID, *question_ids[:room], SENTENCE_ID, SYSTEM_ID]


def answer_text(text: str, max_chars: int = MAX_ANSWER_CHARS) -> str:
    """What may leave as an answer: plain NFC text, no control token or character, at most ``max_chars`` long."""
    return answer_steps(text, max_chars)[-1][1]


def answer_steps(text: str, max_chars: int = MAX_ANSWER_CHARS) -> tuple[tuple[AnswerRule, str], ...]:
    """How :func:`answer_text` comes about: each rule in turn, with the text after it."""
    readable = text.replace(_REPLACEMENT, "")
    shown = one_line(readable)
    plain = one_line(_without_control_tokens(shown))
    return (
        ("unreadable_bytes", readable),
        ("normalised", shown),
        ("control_tokens", plain),
        ("cut", plain[:max_chars].rstrip()),
    )


def _without_control_tokens(text: str) -> str:
    """Taking one out may join the halves of another; each character is looked at once all the same."""
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
