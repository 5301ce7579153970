"""Text rules: what training keeps, masks and rejects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.learning.cleaning import (
    clean,
    fold,
    is_abusive,
    is_korean,
    mentions_crisis,
    phrase_key,
    reject_reason,
)
from tests.growth import growth


@pytest.mark.parametrize(
    "piece", ["1", "가", "1-", "a@", "a.", "서울 ", "구 ", "계좌", "010-", "ㅋ", "씨", "0 ", "\u0300\u0316", "\u0f73"]
)
def test_rules_run_in_linear_time(piece: str) -> None:
    """Twenty times the text takes about twenty times as long, not four hundred times."""
    assert growth(lambda text: reject_reason(clean(text), "안녕"), piece) < 100


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  안녕\t\n하세요  ", "안녕 하세요"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
        ("안\u200b녕\u202e", "안녕"),
        ("ㅋㅋㅋㅋㅋㅋㅋ", "ㅋㅋㅋ"),
        ("100000원이야!!!!!", "100000원이야!!!"),
        ("와!!!!!!", "와!!!"),
        ("\x00\x1b", ""),
        ("하하하하", "하하하"),
    ],
)
def test_text_is_normalized(raw: str, expected: str) -> None:
    """NFC, no control or zero-width characters, single spaces, runs of at most three."""
    assert clean(raw) == expected


@given(st.text())
def test_cleaning_is_idempotent(text: str) -> None:
    """Cleaning a cleaned text changes nothing."""
    assert clean(clean(text)) == clean(text)


def test_folding_undoes_width_and_case() -> None:
    """Width, case, repeated spaces and invisible characters do not matter in comparisons; words stay separated."""
    assert fold(" ＡＢＣ  좋아\u200b") == "abc 좋아"


def test_equal_phrases_have_equal_keys() -> None:
    """Spaces, punctuation, case and width do not change the key; other letters do."""
    assert phrase_key("이름이 뭐야?") == phrase_key("이름이뭐야!!") == "이름이뭐야"
    assert phrase_key("ＡＢＣ 좋아") == phrase_key("abc좋아")
    assert phrase_key("😀") != phrase_key("😂")


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("", "네.", "empty_question"),
        ("안녕", "", "empty_answer"),
        ("가" * 201, "네, 그래요.", "question_too_long"),
        ("안녕", "가나다라" * 31, "answer_too_long"),
        ("안녕</s>", "반가워요.", "special_token"),
        ("죽고 싶어", "힘내요.", "safety"),
        ("씨발", "그런 말은 싫어요.", "abuse"),
        ("안녕", "010-1234-5678로 전화 주세요.", "pii"),
        ("번호가 [전화번호] 맞지?", "네, 맞아요.", "pii"),
        ("hello there", "안녕하세요.", "not_korean"),
        ("ㅁㄴㅇㄹㅁㄴㅇㄹ", "무슨 뜻이에요?", "not_korean"),
        ("안녕", "ㅋㅋㅋ", "not_korean"),
        ("안녕하세요", "안녕하세요.", "echo"),
        ("ㅎㅇ", "어서 와요!", None),
        ("AI야?", "네, 별마루에 사는 AI예요.", None),
        ("여자해보고 싶어", "궁금할 수 있죠.", None),
        ("출시발표가 언제야?", "내일이에요.", None),
        ("배고파 죽겠어", "떡볶이 어때요?", None),
    ],
)
def test_a_pair_is_rejected_with_its_reason(question: str, answer: str, reason: str | None) -> None:
    """The first reason that applies counts; everyday words that resemble bad ones pass."""
    assert reject_reason(question, answer) == reason


@pytest.mark.parametrize(
    "text",
    [
        "아가씨빨리와 하시더라", "할머니미역국 먹고 싶어", "어머니미역국", "새끼야옹이 데려왔어", "날씨발표 봤어?", "솜씨발휘 좀 해", "무지개새 그렸어",
        "민수씨발표 들었어?", "고양이 새끼야?", "위기가 닥쳐", "미니미 꾸미자", "시발점이 어디야", "출시발표", "에섹스에 살아",
    ],
)  # fmt: skip
def test_words_that_contain_a_bad_word_are_not_abusive(text: str) -> None:
    """Written without spaces, everyday words can contain the letters of a bad word."""
    assert not is_abusive(text)
    assert reject_reason(clean(text), "네, 그래요.") is None


@pytest.mark.parametrize(
    "text",
    ["씨발", "개씨발", "아 씨발 진짜", "씨빨", "씨발이 뭐야", "이 개새끼야", "개새야", "야 이 새끼야", "니미", "닥쳐", "ㅆㅂ", "시발", "씨 발 놈 아", "꺼져버려", "섹스"],
)  # fmt: skip
def test_bad_words_next_to_harmless_ones_are_found(text: str) -> None:
    """The exceptions for harmless words do not hide a bad word."""
    assert is_abusive(text)


@pytest.mark.parametrize(
    "text", ["사유서 써야 해", "이유서를 냈어", "유서 깊은 절", "자유서적", "자살골 넣었어", "자살골이야"]
)
def test_words_that_contain_a_word_of_self_harm_are_not_rejected(text: str) -> None:
    """Otherwise harmless training pairs would be lost."""
    assert not mentions_crisis(text, "네, 그래요.")


def test_hangul_decides_whether_a_text_is_korean() -> None:
    """Single jamo for laughter and tears do not count against a text."""
    assert is_korean("혼자ㅠㅠㅠ")
    assert not is_korean("😀😀")
