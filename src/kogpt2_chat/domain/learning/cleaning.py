"""Cleaning rules for training text: the clean form of a text, and the reasons to reject a pair.

Every rule is linear in the length of the text, since all of them run on user text. This module does not depend on
turns, players or tables.
"""

import re
from collections.abc import Callable
from typing import Final

from kogpt2_chat.domain.safety.crisis import find_by_rules, find_crisis
from kogpt2_chat.domain.text.characters import nfkc, one_line
from kogpt2_chat.domain.text.masking import mask_pii, masked_count
from kogpt2_chat.domain.text.view import view_of

MAX_TAUGHT_QUESTION_CHARS: Final = 200
MAX_TAUGHT_ANSWER_CHARS: Final = 120
_MAX_RUN: Final = 3
_MIN_HANGUL_SHARE: Final = 0.3
_MAX_SHORTHAND: Final = 4
_EMOTICON_JAMO: Final = frozenset("ㅋㅎㅠㅜ")

_RUN: Final = re.compile(r"(\D)\1{3,}")
_SPECIAL_TOKEN: Final = re.compile(r"</?s>|<(?:usr|sys|pad|unk|mask|unused\d{1,3})>", re.IGNORECASE)

# The look-arounds prevent matches inside harmless words (``아가씨빨리``, ``할머니미역국``).
_ABUSE: Final = re.compile(
    r"(?<![날솜])[씨씹](?:ㅂ|발(?!표|휘|언|전|음|생|견|굴|행|효|령|매|걸음|바닥|목|가락|등)|빨(?!리|래|간|강|대|라)|팔(?!찌|뚝|목|꿈|아|았|려|고))|"
    r"(?<![가-힣])시[ㅂ발팔](?![가-힣]*(?:점|역|표))|ㅅㅂ|ㅆㅂ|ㅂㅅ|병신|븅신|지랄|ㅈㄹ|"
    r"(?<![지날베])개새(?=[끼꺄키기야ㄲ]|[^가-힣]|$)|(?<!고양이)(?<!강아지)(?<!고양이 )(?<!강아지 )새끼야(?!옹)|"
    r"좆|존나|ㅈㄴ|(?<![가-힣])니미(?!역|션)|느금|엠창|미친\s?[놈년]|(?<![이가]\s)닥쳐(?![가-힣])|꺼져\s?버려(?![가-힣])|걸레\s?년|창녀|보지년|"
    r"(?<![에서])섹스(?!리스|턴트|피어)|fuck|shit(?!ake)|bitch",
    re.IGNORECASE,
)


def collapse_repeats(text: str) -> str:
    """Shorten every run of one character to three: ``ㅋㅋㅋㅋㅋㅋ`` becomes ``ㅋㅋㅋ``.

    Digits are left alone: 10000 must not become 1000.
    """
    return _RUN.sub(lambda run: run.group(1) * _MAX_RUN, text)


def clean(text: str) -> str:
    """Return the form of a text that training uses: normalised, on one line, repeats collapsed."""
    return collapse_repeats(one_line(text))


def fold(text: str) -> str:
    """Return the form for comparisons: cleaned, NFKC and case folded."""
    return nfkc(clean(text)).casefold()


def phrase_key(text: str) -> str:
    """Return the key that is equal for equal phrases: letters and digits only, NFKC and case folded.

    A text without letters and digits (an emoji, three dots) keeps its characters, so that two such texts get
    different keys.
    """
    folded = fold(text)
    return "".join(char for char in folded if char.isalnum()) or folded


def mentions_crisis(question: str, answer: str) -> bool:
    """Check whether a pair may be about a crisis. Such questions get a vetted answer and are never trained on.

    Only the rules check the answer: the classifier was made for questions and mistakes comforting words for a crisis.
    """
    return find_crisis(question) is not None or find_by_rules(answer) is not None


def is_abusive(text: str) -> bool:
    """Check whether a text contains a word of the abuse lexicon, also after the view has undone disguised spellings."""
    return _ABUSE.search(text) is not None or _ABUSE.search(view_of(text).text) is not None


def is_korean(text: str) -> bool:
    """Check whether enough letters of a text are Hangul syllables to rule out keyboard noise and other scripts.

    At least 30 % of the letters must be syllables; the jamo of emoticons (``ㅋㅎㅠㅜ``) do not count as letters.
    """
    letters = [char for char in text if char.isalpha() and char not in _EMOTICON_JAMO]
    syllables = sum("가" <= char <= "힣" for char in letters)
    return syllables > 0 and syllables >= _MIN_HANGUL_SHARE * len(letters)


def is_chat_shorthand(text: str) -> bool:
    """Check whether the letters of a text are one to four single jamo, such as ``ㅎㅇ``, which players often write."""
    letters = [char for char in text if char.isalpha()]
    return 0 < len(letters) <= _MAX_SHORTHAND and all("ㄱ" <= char <= "ㅣ" for char in letters)


def reject_reason(question: str, answer: str) -> str | None:
    """Return why a cleaned pair may not be trained on.

    Args:
        question: cleaned question.
        answer: cleaned answer.

    Returns:
        The first reason that applies, or None for a usable pair.
    """
    return next((reason for reason, holds in _REASONS if holds(question, answer)), None)


def _has_pii(question: str, answer: str) -> bool:
    return any(masked_count(text) or mask_pii(text)[1] for text in (question, answer))


_REASONS: Final[tuple[tuple[str, Callable[[str, str], bool]], ...]] = (
    ("empty_question", lambda question, _: not question),
    ("empty_answer", lambda _, answer: not answer),
    ("question_too_long", lambda question, _: len(question) > MAX_TAUGHT_QUESTION_CHARS),
    ("answer_too_long", lambda _, answer: len(answer) > MAX_TAUGHT_ANSWER_CHARS),
    ("special_token", lambda *pair: any(_SPECIAL_TOKEN.search(text) for text in pair)),
    ("safety", mentions_crisis),
    ("abuse", lambda *pair: any(map(is_abusive, pair))),
    ("pii", _has_pii),
    ("not_korean", lambda question, _: not (is_korean(question) or is_chat_shorthand(question))),
    ("not_korean", lambda _, answer: not is_korean(answer)),
    ("echo", lambda question, answer: phrase_key(question) == phrase_key(answer)),
)
