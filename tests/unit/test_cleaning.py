"""Text rules: what is kept, masked and left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.cleaning import clean, is_korean, mask_pii, phrase_key, reject_reason
from tests.growth import growth

PERSONAL = {
    "내 번호는 010-1234-5678이야": "phone",
    "01012345678로 전화해": "phone",
    "+82 10-1234-5678": "phone",
    "집 전화 02-345-6789": "phone",
    "공일공 일이삼사 오육칠팔": "phone",
    "０１０-１２３４-５６７８": "account",
    "주민번호 900101-1234568이야": "resident",
    "9001011234568": "resident",
    "카드 4111 1111 1111 1111": "card",
    "4111-1111-1111-1111": "card",
    "3782 822463 10005": "card",
    "메일은 maru.lee@example.com 이야": "mail",
    "국민은행 123456-78-901234": "account",
    "내 계좌 1002123456789": "account",
    "서울시 강남구 테헤란로 152에 살아": "address",
    "경기도 성남시 분당구 판교역로 166": "address",
    "강남구 역삼동 123-4": "address",
    "우리 집은 101동 1203호": "address",
}
HARMLESS = [
    "오늘은 2026-11-24 화요일",
    "오늘도 바로 3시에 만나자",
    "앞으로 10번만 더 해 볼게",
    "4111-1111-1111-1112",
    "주문번호 20261124001",
    "900101 이라는 숫자",
    "1588-1234로 주문해",
    "2:1로 이겼어",
    "3 + 4 = 7",
    "100만원만 있으면",
    "다시 1동 앞으로",
]


@pytest.mark.parametrize(("text", "kind"), PERSONAL.items())
def test_personal_details_are_masked_once(text: str, kind: str) -> None:
    """Recall set: one detail each, named by its kind; masking again changes nothing."""
    masked, hits = mask_pii(text)
    assert hits == (kind,)
    assert masked != text
    assert mask_pii(masked) == (masked, ())


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_that_are_nobodys_stay(text: str) -> None:
    """Precision set: dates, counts, numbers without a valid checksum."""
    assert mask_pii(text) == (text, ())


@pytest.mark.parametrize("piece", ["1", "가", "1-", "a@", "a.", "서울 ", "구 ", "계좌", "010-", "ㅋ", "씨", "0 "])
def test_rules_take_time_linear_in_the_text(piece: str) -> None:
    """Twenty times the text takes about twenty times the work, not four hundred times."""

    def work(text: str) -> None:
        mask_pii(text)
        reject_reason(clean(text), "안녕")

    assert growth(work, piece) < 100


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
def test_text_is_brought_to_one_form(raw: str, expected: str) -> None:
    """NFC, no control or zero-width characters, single spaces, runs of at most three."""
    assert clean(raw) == expected


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    """A cleaned text is its own clean form, whatever came in."""
    assert clean(clean(text)) == clean(text)
    mask_pii(text)


def test_the_same_phrase_has_one_key() -> None:
    """Spaces, punctuation, case and width do not make another phrase; other letters do."""
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
def test_a_pair_is_left_out_with_its_reason(question: str, answer: str, reason: str | None) -> None:
    """One reason, the first that holds; everyday words that look like bad ones are kept."""
    assert reject_reason(question, answer) == reason


def test_hangul_decides_what_is_korean() -> None:
    """Loose vowels of laughter and tears do not count against a text."""
    assert is_korean("혼자ㅠㅠㅠ")
    assert not is_korean("😀😀")
