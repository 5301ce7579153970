"""Detection of Korean postal addresses: a known place name, a street or neighbourhood, and a number.

Place names come from a fixed list, because many other words have the same endings: nouns in 구 (``친구``, ``야구``) and
words with the particle 로 (``바다로 2박``). The input is the text of a ``details_view``.
"""

import re
from collections.abc import Iterator
from typing import Final

_METROPOLES: Final = ("서울", "부산", "대구", "인천", "광주", "대전", "울산", "세종")
_PROVINCES: Final = """
경기도 강원도 강원 강원특별자치도 충청북도 충북 충청남도 충남 전라북도 전북 전북특별자치도 전라남도 전남
경상북도 경북 경상남도 경남 제주도 제주 제주특별자치도 세종특별자치시 서울특별시
""".split()  # noqa: SIM905 - read as a list of names
_CITIES: Final = """
수원 성남 의정부 안양 부천 광명 평택 동두천 안산 고양 과천 구리 남양주 오산 시흥 군포 의왕 하남 용인
파주 이천 안성 김포 화성 광주 양주 포천 여주 춘천 원주 강릉 동해 태백 속초 삼척 청주 충주 제천 천안
공주 보령 아산 서산 논산 계룡 당진 전주 군산 익산 정읍 남원 김제 목포 여수 순천 나주 광양 포항 경주
김천 안동 구미 영주 영천 상주 문경 경산 창원 진주 통영 사천 김해 밀양 거제 양산 제주 서귀포
""".split()  # noqa: SIM905 - read as a list of names
_COUNTIES: Final = """
연천 가평 양평 홍천 횡성 영월 평창 정선 철원 화천 양구 인제 고성 양양 보은 옥천 영동 증평 진천 괴산
음성 단양 금산 부여 서천 청양 홍성 예산 태안 완주 진안 무주 장수 임실 순창 고창 부안 담양 곡성 구례
고흥 보성 화순 장흥 강진 해남 영암 무안 함평 영광 장성 완도 진도 신안 의성 청송 영양 영덕 청도 고령
성주 칠곡 예천 봉화 울진 울릉 의령 함안 창녕 남해 하동 산청 함양 거창 합천 기장 달성 군위 강화 옹진
울주
""".split()  # noqa: SIM905 - read as a list of names
_DISTRICTS: Final = """
중 동 서 남 북 종로 용산 성동 광진 동대문 중랑 성북 강북 도봉 노원 은평 서대문 마포 양천 강서 구로
금천 영등포 동작 관악 서초 강남 송파 강동 영도 부산진 동래 해운대 사하 금정 연제 수영 사상 수성 달서
미추홀 연수 남동 부평 계양 광산 유성 대덕 장안 권선 팔달 영통 수정 중원 분당 만안 동안 원미 소사 오정
상록 단원 덕양 일산동 일산서 처인 기흥 수지 상당 서원 흥덕 청원 동남 서북 완산 덕진 의창 성산 마산합포
마산회원 진해
""".split()  # noqa: SIM905 - read as a list of names
_WIDE: Final = frozenset(
    (*_METROPOLES, *_PROVINCES, *(f"{name}{kind}" for name in _METROPOLES for kind in ("시", "광역시")))
)
_NARROW: Final = frozenset(
    (
        *(f"{name}시" for name in _CITIES),
        *(f"{name}군" for name in _COUNTIES),
        *(f"{name}구" for name in _DISTRICTS),
    )
)
_PLACES: Final = _WIDE | _NARROW
_LONGEST: Final = max(map(len, _PLACES))
_PARTICLE: Final = "으"
"""A name that ends in this particle is not a street: ``앞으로 10``."""
_LOOK_BACK: Final = 48
_WORDS_BACK: Final = 6
_LONGEST_NAME: Final = 10
# A number before one of these is a quantity or a time.
_COUNTED: Final = (
    "시(?!청)|분|초|년|월|일|박|명|개|번(?!지|길)|등|점|골|회|차|기|대|주|원|만|천|억|승|패|위|급|단|배|살|세|반|"
    "학년|문제|과목|퍼센트|%|키로|킬로|"
    "미터|평|달러|가지|종|인분|그릇|잔|병|마리|곳|군데|쪽|교시|강|렙|레벨|화|권|편|곡|장|팀|연승|호선|씩|째|:|[.]\\d"
)
_TAIL: Final = re.compile(
    r"(?:로|길|(동|리|가|읍|면)) ?(?:지하 ?|산 ?)?\d{1,4}+"
    r"(?:(?:번?길|가) ?\d{1,4}+)?+((?:-\d{1,4}+)?+(?:번지)?+)(?:호)?+"
    rf"(?!\d)(?! ?(?:{_COUNTED}))"
)
_HOUSE: Final = re.compile(r"(?<!\d)\d{1,4}동 ?\d{1,4}호(?!선)")


def find_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Find addresses in the text of a view, in order and without overlaps.

    Args:
        text: a text of any length.

    Yields:
        Start and end of an address.
    """
    end = 0
    for found in _TAIL.finditer(text):
        is_dong = found.group(1) is not None
        start = _address_start(text, found.start(), is_dong=is_dong, is_exact=bool(found.group(2)))
        if start is not None and start >= end:
            end = found.end()
            yield start, end


def find_houses(text: str) -> Iterator[tuple[int, int]]:
    """Find numbers of a building and an apartment (``101동 1203호``), see :func:`find_addresses`."""
    return (found.span() for found in _HOUSE.finditer(text))


def _address_start(text: str, end: int, *, is_dong: bool, is_exact: bool) -> int | None:
    """Return the start of the address whose street name ends at ``end``, or None if it is not an address.

    Args:
        text: the text of the view.
        end: end of the name without its suffix 로, 길 or 동.
        is_dong: whether the name is that of a neighbourhood or village (동, 리, 가, 읍, 면) and not of a street.
        is_exact: whether the number is a lot number (``123-4``, ``5번지``).
    """
    words = text[max(0, end - _LOOK_BACK) : end].split(" ")[-_WORDS_BACK:]
    last = words.pop()
    start = end - len(last)
    place_chars, is_narrow = _leading_places(last)
    found, name = place_chars > 0, last[place_chars:]
    if words and words[-1][-1:] in ("읍", "면") and not found:
        start -= len(words.pop()) + 1
    while words and words[-1]:
        length, narrow = _leading_places(words[-1])
        if not length or length < len(words[-1]):
            break
        found, is_narrow = True, is_narrow or narrow
        start -= len(words.pop()) + 1
    if not found or not 1 <= len(name) <= _LONGEST_NAME or name.endswith(_PARTICLE):
        return None
    return start if is_narrow or is_exact or (not is_dong and len(name) > 1) else None


def _leading_places(word: str) -> tuple[int, bool]:
    """Return the length of the place names at the start of a word, and whether one is a city, county or district."""
    end, is_narrow = 0, False
    while end < len(word):
        sizes = range(min(_LONGEST, len(word) - end), 1, -1)
        size = next((size for size in sizes if word[end : end + size] in _PLACES), 0)
        if not size:
            break
        is_narrow |= word[end : end + size] in _NARROW
        end += size
    return end, is_narrow
