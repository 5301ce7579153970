"""KoGPT2's chat format: which control tokens there are, what a question and an answer look like as text.

The format is that of the KoGPT2 chatbot lineage: ``<usr>`` question ``<unused1>`` ``<sys>`` answer ``</s>``.
Control tokens are put in as ids by whoever builds a prompt; text, from players or from a corpus, can never
become one.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal

AnswerRule = Literal["unreadable_bytes", "normalised", "control_tokens", "cut"]

BEGIN: Final = "<s>"
END: Final = "</s>"
USER: Final = "<usr>"
PAD: Final = "<pad>"
SYSTEM: Final = "<sys>"
UNKNOWN: Final = "<unk>"
SENTENCE: Final = "<unused1>"

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

_CONTROL_TOKEN = re.compile(r"<(?:s|/s|usr|pad|sys|unk|mask|d|/d|unused\d{1,2})>")
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_REPLACEMENT: Final = "\ufffd"


def is_control_token(token: str) -> bool:
    """Whether a vocabulary entry is a control token by its spelling."""
    return _CONTROL_TOKEN.fullmatch(token) is not None


def has_control_token(text: str) -> bool:
    """Whether the spelling of a control token stands anywhere in a text."""
    return _CONTROL_TOKEN.search(text) is not None


def normalise(text: str) -> str:
    """One line of NFC text without control and zero-width characters, single spaces, trimmed.

    Never NFKC: it would make ``<usr>`` out of its full-width form.
    """
    shown = (
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", text)
        if character.isspace() or unicodedata.category(character) not in _UNPRINTABLE
    )
    return " ".join("".join(shown).split())


def prompt_ids(question_ids: Sequence[int], max_tokens: int) -> list[int]:
    """The prompt of a question that is already token ids; a too long question keeps its beginning."""
    room = max(max_tokens - 3, 0)
    return [USER_ID, *question_ids[:room], SENTENCE_ID, SYSTEM_ID]


def answer_text(text: str, max_chars: int = MAX_ANSWER_CHARS) -> str:
    """What may leave as an answer: plain NFC text, no control token or character, at most ``max_chars`` long."""
    return answer_steps(text, max_chars)[-1][1]


def answer_steps(text: str, max_chars: int = MAX_ANSWER_CHARS) -> tuple[tuple[AnswerRule, str], ...]:
    """How :func:`answer_text` comes about: each rule in turn, with the text after it."""
    readable = text.replace(_REPLACEMENT, "")
    shown = plain = normalise(readable)
    while has_control_token(plain):  # taking one out may join the halves of another
        plain = normalise(_CONTROL_TOKEN.sub("", plain))
    return (
        ("unreadable_bytes", readable),
        ("normalised", shown),
        ("control_tokens", plain),
        ("cut", plain[:max_chars].rstrip()),
    )
