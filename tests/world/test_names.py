"""Players' names: what is allowed, what counts as the same, and that nobody can pass for a bot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world.gateway.refused import Refused
from world.gateway.rules.names import MAX_CHARS, checked_name, is_reserved, name_key

IMPERSONATING = (
    "마루", "온유", "설이", "마 루", "마.루", "ㅁㅏㄹㅜ", "마루", "마루님", "진짜마루", "마루2", "ChatbotA", "chatbot_a", "ＣｈａｔｂｏｔＢ", "СhatbоtC",
    "CHATBOT-C", "Ch4tb0tA", "온유봇", "공식 설이", "마\u200b루", "마루 bot", "운영자", "관리자님", "Admin", "ａｄｍｉｎ", "аdmin", "adm1n", "SYSTEM",
    "시스템", "Operator", "별마루",
)  # fmt: skip
ALLOWED = (
    "하늘", "민트초코", "Jinwoo", "고래'밥", "{해적}왕", "토끼굴", "새벽감성", "마루치", "설이랑나랑", "온유한사람", "민수2", "Ænima", "Zoë", "さくら", "小明",
    "ㅋㅋㅋ", "별똥별", "A B",
)  # fmt: skip


@pytest.mark.parametrize("name", IMPERSONATING)
def test_nobody_can_have_the_name_of_a_bot_or_of_the_staff(name: str) -> None:
    """In no spelling: full width, other scripts, single letters, invisible characters, titles."""
    with pytest.raises(Refused) as refused:
        checked_name(name)
    assert refused.value.reason == "name_reserved"


@pytest.mark.parametrize("name", ALLOWED)
def test_other_names_are_allowed(name: str) -> None:
    """Also those that contain a bot's name as a part of a word."""
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "name_length"),
        ("가", "name_length"),
        ("가" * 17, "name_length"),
        ("가" * 10_000, "name_length"),
        ("\u200b\u200b\u200b", "name_length"),
        ("ㅤㅤㅤ", "name_length"),
        ("<b>굵게</b>", "name_characters"),
        ('a"b', "name_characters"),
        ("😀😀", "name_characters"),
        ("...", "name_characters"),
        ("a\u0301\u0301\u0301\u0301b", "name_characters"),
    ],
)
def test_a_name_that_is_too_short_long_or_strange_is_refused(name: str, reason: str) -> None:
    """The reason says why."""
    with pytest.raises(Refused) as refused:
        checked_name(name)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("민수", "민 수"), ("민수", "민수"), ("Jinwoo", "JINWOO"), ("Jinwoo", "Ｊｉｎｗｏｏ"), ("Jinwoo", "Jinwoо"), ("민수", "민.수"),
        ("민수", "민\u200b수"), ("pаul", "paul"),
    ],
)  # fmt: skip
def test_names_that_look_alike_are_the_same_name(first: str, second: str) -> None:
    """Two players could otherwise be mistaken for each other."""
    assert name_key(first) == name_key(second)


def test_different_names_have_different_keys() -> None:
    """Names of one script are not folded together, even if they are similar."""
    assert (
        len({name_key(name) for name in ("민수", "민수2", "만수", "ㅋㅋ", "ㅋㅋㅋ", "!!", "♥♥", "Анна", "Anna2")}) == 9
    )


@given(st.text(max_size=40))
def test_a_checked_name_is_stable_and_within_the_limits(name: str) -> None:
    """Checking it again changes nothing; it is not reserved."""
    try:
        checked = checked_name(name)
    except Refused:
        return
    assert checked_name(checked) == checked
    assert 2 <= len(checked) <= MAX_CHARS
    assert not is_reserved(checked)
    assert name_key(checked)
