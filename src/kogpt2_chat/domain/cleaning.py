"""What text may be kept: normal form, masked personal details, and why a pair is left out of training.

Every rule here is linear in the length of the text: user text reaches all of them. This module knows
nothing of turns, players or tables.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from kogpt2_chat.domain.crisis import find_by_rules, find_crisis
from kogpt2_chat.domain.text_view import view_of

MAX_QUESTION_CHARS: Final = 200
MAX_ANSWER_CHARS: Final = 120
_MAX_RUN: Final = 3
_MIN_HANGUL_SHARE: Final = 0.3
_MAX_SHORTHAND: Final = 4
_EMOTICON_JAMO: Final = frozenset("ㅋㅎㅠㅜ")

_SPACES: Final = re.compile(r"\s+")
_RUN: Final = re.compile(r"(\D)\1{3,}")
_REMOVED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SPECIAL_TOKEN: Final = re.compile(r"</?s>|<(?:usr|sys|pad|unk|mask|unused\d{1,3})>", re.IGNORECASE)

# Digits may be full width: \d and int() understand both.
_CARD: Final = re.compile(r"(?<!\d)\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?!\d)|(?<!\d)3\d{3}([ -]?)\d{6}\2\d{5}(?!\d)")
_RESIDENT: Final = re.compile(r"(?<!\d)(\d{6})(\s?-\s?|\s)?([1-8]\d{6})(?!\d)")
_PHONE: Final = re.compile(
    r"(?<!\d)(?:(?:\+\s?82[ .-]?\(?0?\)?|0)1[016789]|(?:\+\s?82[ .-]?\(?0?\)?|0)(?:2|[3-6]\d|70|50\d))"
    r"[ .)-]{0,2}\d{3,4}[ .-]?\d{4}(?!\d)"
)
_NUMERAL: Final = "[공영일이삼사오육칠팔구]"
_SPOKEN_PHONE: Final = re.compile(rf"[공영]일[공영일육칠팔구][ -]?{_NUMERAL}{{3,4}}[ -]?{_NUMERAL}{{4}}(?!{_NUMERAL})")
_MAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}")
_ACCOUNT: Final = re.compile(r"(?<![\d-])\d{2,6}-\d{2,6}-\d{2,8}(?:-\d{1,3})?(?![\d-])")
_NAMED_ACCOUNT: Final = re.compile(r"((?:계좌|은행|농협|신협|수협|뱅크|통장)[가-힣 :]{0,12})(\d[\d -]{8,18}\d)")
_ISO_DATE: Final = re.compile(r"(?:19|20)\d\d-\d\d-\d\d")
_REGION: Final = (
    r"(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충청[남북]|충[남북]|전라[남북]|전[남북]|경상[남북]|경[남북]|제주)"
    r"(?:특별자치시|특별자치도|특별시|광역시|시|도)?"
)
_STREET: Final = r"[가-힣0-9]{1,12}(?:로|길|동|리|가)\s?\d{1,4}(?:번길\s?\d{1,4})?(?:-\d{1,4})?(?:번지|호)?"
_ADDRESS: Final = re.compile(
    rf"{_REGION}\s?(?:[가-힣]{{1,6}}(?:시|군|구|읍|면)\s?){{0,3}}{_STREET}"
    rf"|[가-힣]{{1,6}}(?:구|군)\s{_STREET}"
    r"|(?<!\d)\d{1,4}동\s?\d{1,4}호"
)
_MASK: Final = {
    "card": "[카드번호]",
    "resident": "[주민번호]",
    "phone": "[전화번호]",
    "mail": "[메일]",
    "account": "[계좌번호]",
    "address": "[주소]",
}
_MASKED: Final = re.compile("|".join(re.escape(mask) for mask in _MASK.values()))

_ABUSE: Final = re.compile(
    r"[씨씹][ㅂ발빨팔]|(?<![가-힣])시[ㅂ발팔](?![가-힣]*(?:점|역|표))|ㅅㅂ|ㅆㅂ|ㅂㅅ|병신|븅신|지랄|ㅈㄹ|개새|새끼야|"
    r"좆|존나|ㅈㄴ|니미|느금|엠창|미친\s?[놈년]|닥쳐(?![가-힣])|꺼져\s?버려|걸레\s?년|창녀|보지년|섹스(?!리스)|"
    r"fuck|shit|bitch",
    re.IGNORECASE,
)
_MONTHS, _DAYS = range(1, 13), range(1, 32)
_ACCOUNT_DIGITS: Final = range(10, 17)
_NAMED_ACCOUNT_DIGITS: Final = range(9, 17)


def normalise(text: str) -> str:
    """NFC, without control, zero-width, bidi and unassigned characters; white space runs become one space."""
    composed = unicodedata.normalize("NFC", _SPACES.sub(" ", text))
    kept = "".join(char for char in composed if unicodedata.category(char) not in _REMOVED_CATEGORIES)
    # Removing a zero-width character can bring letters together that compose.
    return _SPACES.sub(" ", unicodedata.normalize("NFC", kept)).strip()


def squeeze(text: str) -> str:
    """Runs of one character are cut to three: ``ㅋㅋㅋㅋㅋㅋ`` says no more than ``ㅋㅋㅋ``.

    Digits stay: 10000 is not 1000.
    """
    return _RUN.sub(lambda run: run.group(1) * _MAX_RUN, text)


def clean(text: str) -> str:
    """The form in which text is trained on: normalised and squeezed."""
    return squeeze(normalise(text))


def phrase_key(text: str) -> str:
    """What makes two phrases the same one: letters and digits only, compatibility forms and case folded.

    Text without any letter or digit (an emoji, three dots) keeps its characters, so that different ones differ.
    """
    folded = unicodedata.normalize("NFKC", clean(text)).casefold()
    return "".join(char for char in folded if char.isalnum()) or folded


def mask_pii(text: str) -> tuple[str, tuple[str, ...]]:
    """Replace personal details by marks such as ``[전화번호]``.

    Cards (Luhn), resident numbers (birthday and checksum; with a hyphen the birthday is enough, since numbers
    given out from October 2020 on have no checksum), phones, mail, accounts and street addresses. Masking
    twice changes nothing.

    Args:
        text: any text.

    Returns:
        The masked text, and the kind of each detail found, in the order of the rules.
    """
    hits: list[str] = []

    def apply(pattern: re.Pattern[str], kind: str, accept: Callable[[re.Match[str]], bool]) -> None:
        nonlocal text

        def replace(found: re.Match[str]) -> str:
            if not accept(found):
                return found.group()
            hits.append(kind)
            return _MASK[kind]

        text = pattern.sub(replace, text)

    apply(_MAIL, "mail", lambda _: True)
    apply(_CARD, "card", lambda found: _luhn(_digits(found.group())))
    apply(_RESIDENT, "resident", _is_resident)
    apply(_PHONE, "phone", lambda _: True)
    apply(_SPOKEN_PHONE, "phone", lambda _: True)
    apply(_ACCOUNT, "account", _is_account)
    text = _NAMED_ACCOUNT.sub(lambda found: _mask_named_account(found, hits), text)
    apply(_ADDRESS, "address", lambda _: True)
    return text, tuple(hits)


def masked_count(text: str) -> int:
    """How many masks a text carries."""
    return len(_MASKED.findall(text))


def mentions_crisis(question: str, answer: str) -> bool:
    """Whether a pair may speak of a crisis; such pairs are answered by people's words, never trained on.

    An answer is judged by the rules alone: the classifier knows how people ask, and takes comfort for need.
    """
    return find_crisis(question) is not None or find_by_rules(answer) is not None


def is_abusive(text: str) -> bool:
    """Whether a text holds a word of the small abuse lexicon, in any spelling that the view undoes."""
    return _ABUSE.search(text) is not None or _ABUSE.search(view_of(text).text) is not None


def is_korean(text: str) -> bool:
    """Whether the letters of a text are Hangul syllables for the most part: no keyboard noise or other script."""
    letters = [char for char in text if char.isalpha() and char not in _EMOTICON_JAMO]
    syllables = sum("가" <= char <= "힣" for char in letters)
    return syllables > 0 and syllables >= _MIN_HANGUL_SHARE * len(letters)


def is_chat_shorthand(text: str) -> bool:
    """Whether a text is a few loose jamo, as in ``ㅎㅇ`` or ``ㅠㅠㅠ``: players say it, and it can be answered."""
    letters = [char for char in text if char.isalpha()]
    return 0 < len(letters) <= _MAX_SHORTHAND and all("ㄱ" <= char <= "ㅣ" for char in letters)


def reject_reason(question: str, answer: str) -> str | None:
    """Why a cleaned pair may not be trained on.

    Args:
        question: cleaned question.
        answer: cleaned answer.

    Returns:
        One reason, the first that holds, or None for a usable pair.
    """
    return next((reason for reason, holds in _REASONS if holds(question, answer)), None)


def _has_pii(question: str, answer: str) -> bool:
    return any(masked_count(text) or mask_pii(text)[1] for text in (question, answer))


_REASONS: Final[tuple[tuple[str, Callable[[str, str], bool]], ...]] = (
    ("empty_question", lambda question, _: not question),
    ("empty_answer", lambda _, answer: not answer),
    ("question_too_long", lambda question, _: len(question) > MAX_QUESTION_CHARS),
    ("answer_too_long", lambda _, answer: len(answer) > MAX_ANSWER_CHARS),
    ("special_token", lambda *pair: any(_SPECIAL_TOKEN.search(text) for text in pair)),
    ("safety", mentions_crisis),
    ("abuse", lambda *pair: any(map(is_abusive, pair))),
    ("pii", _has_pii),
    ("not_korean", lambda question, _: not (is_korean(question) or is_chat_shorthand(question))),
    ("not_korean", lambda _, answer: not is_korean(answer)),
    ("echo", lambda question, answer: phrase_key(question) == phrase_key(answer)),
)


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdigit()]


def _luhn(digits: list[int]) -> bool:
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_resident(found: re.Match[str]) -> bool:
    birthday, separator, rest = found.groups()
    digits = _digits(birthday + rest)
    month, day = digits[2] * 10 + digits[3], digits[4] * 10 + digits[5]
    if month not in _MONTHS or day not in _DAYS:
        return False
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    weighted = sum(weight * digit for weight, digit in zip(weights, digits, strict=False))
    return (separator is not None and "-" in separator) or (11 - weighted % 11) % 10 == digits[12]


def _is_account(found: re.Match[str]) -> bool:
    return len(_digits(found.group())) in _ACCOUNT_DIGITS and not _ISO_DATE.match(found.group())


def _mask_named_account(found: re.Match[str], hits: list[str]) -> str:
    if len(_digits(found.group(2))) not in _NAMED_ACCOUNT_DIGITS:
        return found.group()
    hits.append("account")
    return found.group(1) + _MASK["account"]
