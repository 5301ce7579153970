"""Detection and masking of personal data in a text, in its various spellings.

The rules read a view of the text (:func:`~kogpt2_chat.domain.text.view.details_view`). The masks replace the matching
ranges of the original text, and the rest stays unchanged. The time is linear in the length of the text.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from kogpt2_chat.domain.text.postal_addresses import find_addresses, find_houses
from kogpt2_chat.domain.text.view import details_view

Spans = Iterator[tuple[int, int]]

# Nearly all texts have only these characters: the view does not change them, and no personal data begins with one.
# Any other character may become a digit or a mark that the rules look for.
_ORDINARY: Final = re.compile(r"[가-힣ㄱ-ㅣA-Za-z\s.,!?~…\"'#$%&)*+/:;<=>\]^{}\-]*+")
_WORDS_OF_DETAILS: Final = re.compile(r"골뱅이|[공영령]\W*+[일lI]")

_CARD: Final = re.compile(
    r"(?<!\d)\d{4}[ .\-]{0,3}+\d{4}[ .\-]{0,3}+\d{4}[ .\-]{0,3}+\d{4}(?!\d)"
    r"|(?<!\d)3\d{3}[ .\-]{0,3}+\d{6}[ .\-]{0,3}+\d{5}(?!\d)"
)
_RESIDENT: Final = re.compile(r"(?<!\d)(\d{6})([ .\-]{0,3}+)([1-8]\d{6})(?!\d)")
_NAMED_RESIDENT: Final = re.compile(r"(?:주민|등록)[가-힣 :]{0,12}$")

_LOOSE: Final = r"[ .\-/,~()]{0,3}+"
_TIGHT: Final = r"[ .)\-]{0,3}+"
_COUNTRY: Final = rf"(?:(?:\+ ?|00)82{_LOOSE}0?{_LOOSE}|82[ .\-(/]{{1,3}}+0?{_LOOSE}|0)"
_MOBILE: Final = re.compile(rf"(?<!\d)(?:{_COUNTRY})1[016789]{_LOOSE}\d{{3,4}}{_LOOSE}\d{{4}}(?!\d)")
_LANDLINE: Final = re.compile(
    rf"(?<!\d)(?:{_COUNTRY})(?:2|[3-6]\d|70|50\d){_TIGHT}\d{{3,4}}[ .\-]{{0,3}}+\d{{4}}(?!\d)"
)
_NUMERALS: Final = str.maketrans("공영령일이삼사오육륙칠팔구", "0001234566789")
_SPOKEN_PHONE: Final = re.compile(rf"0 ?1 ?[016789]{_LOOSE}(?:\d ?){{3,4}}{_LOOSE}(?:\d ?){{3}}\d")
_SPOKEN_START: Final = re.compile(r"[0공영령] ?[1일] ?[0공영령1일6육륙7칠8팔9구]")
_SPOKEN_LENGTH: Final = 48

_AT: Final = re.compile(r"@|골뱅이|[(\[]at[)\]]")
_LOCAL_REVERSED: Final = re.compile(r" ?[a-z0-9가-힣._%+\-]{1,64}")
_DOMAIN: Final = re.compile(
    r" ?(?:[a-z0-9가-힣\-]{1,63}+ ?\. ?){1,4}(?:[a-z]{2,24}|한국)| ?[a-z0-9\-]{1,63}+ ?[점닷] ?(?:com|net|org|kr|컴|넷)"
)

_ACCOUNT: Final = re.compile(r"(?<![\d\-])\d{2,6}(?: ?- ?\d{1,8}){2,3}(?![\d\-])")
# Lengths of the digit groups in the account numbers of Korean banks.
_ACCOUNT_FORMS: Final = frozenset(
    {
        (6, 2, 6), (3, 3, 6), (4, 3, 6), (3, 6, 5), (3, 4, 4, 2), (3, 6, 2, 3), (4, 2, 7), (3, 2, 6),
        (4, 4, 4, 1), (3, 2, 5, 1),
    }
)  # fmt: skip
_NEW_BANK: Final = re.compile(r"1000-\d{4}-\d{4}$")
_BANK: Final = re.compile(
    r"(?:계좌|은행|농협|신협|수협|뱅크|통장|입금|송금|이체)[가-힣 :]{0,12}$"
    r"|(?:신한|국민|우리|하나|기업|토스|새마을|우체국|제일|씨티|외환|카뱅|케뱅)[은는이가:]? ?$"
)
_NUMBER: Final = re.compile(
    r"(?<![\d\-.,])\d(?:[ \-]{0,3}\d){8,15}(?![ \-]?\d)(?! ?(?:원|만|억|천|달러|엔|위안|개|명|번|년|점))"
)
_PASSPORT: Final = re.compile(
    r"(?:여권|passport)[가-힣a-z :.]{0,12}?(?<![a-z0-9])([a-z][0-9o]{3}[0-9a-z][0-9o]{4})(?![a-z0-9])"
)
_ACCOUNT_DIGITS: Final = range(10, 17)
_NAMED_ACCOUNT_DIGITS: Final = range(9, 17)
_LOOK_BACK: Final = 24
_LONGEST_LOCAL: Final = 65
_MONTHS, _DAYS = range(1, 13), range(1, 32)

_MASK: Final = {
    "card": "[카드번호]",
    "resident": "[주민번호]",
    "phone": "[전화번호]",
    "mail": "[메일]",
    "account": "[계좌번호]",
    "passport": "[여권번호]",
    "address": "[주소]",
}
NAME_MASK: Final = "[이름]"
HANDLE_MASK: Final = "[아이디]"
"""Names and handles are masked in the search index only, and not in the lake."""
_MASKED: Final = re.compile("|".join(re.escape(mask) for mask in (*_MASK.values(), NAME_MASK, HANDLE_MASK)))


def mask_pii(text: str) -> tuple[str, tuple[str, ...]]:
    """Replace personal data by masks such as ``[전화번호]``.

    The rules find card numbers (Luhn), resident registration numbers (birthday and checksum), phone numbers, e-mail
    addresses, bank accounts, passports and postal addresses. A resident number with a hyphen, or after a word such as
    주민번호, needs only a valid birthday: numbers issued since October 2020 have no checksum. Masking is idempotent.

    Args:
        text: any text.

    Returns:
        The masked text, and the kind of each match, in the order of the rules.
    """
    if _has_no_candidate(text):
        return text, ()
    hits: list[str] = []
    view = details_view(text)
    for kind, find in _RULES:
        spans = [view.span(start, end) for start, end in find(view.text)]
        if spans:
            hits += [kind] * len(spans)
            text = _replace(text, spans, _MASK[kind])
            view = details_view(text)
    return text, tuple(hits)


def masked_count(text: str) -> int:
    """Return the number of masks in a text."""
    return len(_MASKED.findall(text))


def _has_no_candidate(text: str) -> bool:
    return bool(_ORDINARY.fullmatch(text)) and not _WORDS_OF_DETAILS.search(text)


def _replace(text: str, spans: list[tuple[int, int]], mask: str) -> str:
    kept, position = [], 0
    for start, end in spans:
        kept += [text[position:start], mask]
        position = end
    return "".join((*kept, text[position:]))


def _find_mail(text: str) -> Spans:
    """Find the @ first, then match around it, so that each character is read a bounded number of times."""
    last = 0
    for at in _AT.finditer(text):
        local = _LOCAL_REVERSED.match(text[max(last, at.start() - _LONGEST_LOCAL) : at.start()][::-1])
        domain = _DOMAIN.match(text, at.end())
        if local and domain:
            yield at.start() - len(local.group()), domain.end()
            last = domain.end()


def _find_cards(text: str) -> Spans:
    return (found.span() for found in _CARD.finditer(text) if _luhn(_digits(found.group())))


def _find_residents(text: str) -> Spans:
    for found in _RESIDENT.finditer(text):
        birthday, separator, rest = found.groups()
        is_explicit = "-" in separator or _NAMED_RESIDENT.search(_before(text, found.start()))
        if _is_birthday(birthday) and (is_explicit or _has_checksum(_digits(birthday + rest))):
            yield found.span()


def _find_phones(text: str) -> Spans:
    return (found.span() for found in _MOBILE.finditer(text))


def _find_landlines(text: str) -> Spans:
    return (found.span() for found in _LANDLINE.finditer(text))


def _find_spoken_phones(text: str) -> Spans:
    """Find phone numbers with digits written as words, also mixed with digits: ``공일공 1234 오육칠팔``."""
    last = 0
    for first in _SPOKEN_START.finditer(text):
        start = first.start()
        found = _SPOKEN_PHONE.match(text[start : start + _SPOKEN_LENGTH].translate(_NUMERALS))
        if found is None or start < last:
            continue
        end = start + found.end()
        is_spoken = any("가" <= char <= "힣" for char in text[start:end])
        if is_spoken and not text[start - 1 : start].isdigit() and not text[end : end + 1].isdigit():
            last = end
            yield start, end


def _find_accounts(text: str) -> Spans:
    for found in _ACCOUNT.finditer(text):
        groups = tuple(len(group.strip()) for group in found.group().split("-"))
        is_named = sum(groups) in _ACCOUNT_DIGITS and _BANK.search(_before(text, found.start()))
        if groups in _ACCOUNT_FORMS or is_named or _NEW_BANK.match(found.group().replace(" ", "")):
            yield found.span()


def _find_named_accounts(text: str) -> Spans:
    for found in _NUMBER.finditer(text):
        if len(_digits(found.group())) in _NAMED_ACCOUNT_DIGITS and _BANK.search(_before(text, found.start())):
            yield found.span()


def _find_passports(text: str) -> Spans:
    return (found.span(1) for found in _PASSPORT.finditer(text))


_RULES: Final[tuple[tuple[str, Callable[[str], Spans]], ...]] = (
    ("mail", _find_mail),
    ("card", _find_cards),
    ("resident", _find_residents),
    ("phone", _find_phones),
    ("phone", _find_landlines),
    ("phone", _find_spoken_phones),
    ("account", _find_accounts),
    ("account", _find_named_accounts),
    ("passport", _find_passports),
    ("address", find_addresses),
    ("address", find_houses),
)


def _before(text: str, position: int) -> str:
    return text[max(0, position - _LOOK_BACK) : position]


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdigit()]


def _luhn(digits: list[int]) -> bool:
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_birthday(digits: str) -> bool:
    return int(digits[2:4]) in _MONTHS and int(digits[4:6]) in _DAYS


def _has_checksum(digits: list[int]) -> bool:
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    weighted = sum(weight * digit for weight, digit in zip(weights, digits, strict=False))
    return (11 - weighted % 11) % 10 == digits[12]
