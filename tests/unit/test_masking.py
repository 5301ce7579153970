"""Masking of personal data: every spelling is found, and other text is unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat.turns import Turn, masked_fields, masked_turn
from kogpt2_chat.domain.text.masking import mask_pii
from tests.growth import growth

ALPHABET = st.one_of(st.characters(), st.sampled_from("0123456789-공일l 강남구로동@.a서울\u200b\u3164골뱅이점컴(t)⓪①"))
PERSONAL = {
    "내 번호는 010-1234-5678이야": "phone",
    "01012345678로 전화해": "phone",
    "+82 10-1234-5678": "phone",
    "집 전화 02-345-6789": "phone",
    "공일공 일이삼사 오육칠팔": "phone",
    "０１０-１２３４-５６７８": "phone",
    "０１０－１２３４－５６７８": "phone",
    "０１０１２３４５６７８": "phone",
    "010 - 1234 - 5678": "phone",
    "010-1234 - 5678": "phone",
    "010–1234–5678": "phone",
    "010−1234−5678": "phone",
    "010ㅡ1234ㅡ5678": "phone",
    "010·1234·5678": "phone",
    "010_1234_5678": "phone",
    "010/1234/5678": "phone",
    "010,1234,5678": "phone",
    "010~1234~5678": "phone",
    "010.1234.5678": "phone",
    "010\u00a01234\u00a05678": "phone",
    "010\u30001234\u30005678": "phone",
    "010\t1234\n5678": "phone",
    "010\u200b1234\u200b5678": "phone",
    "82-10-1234-5678": "phone",
    "0082-10-1234-5678": "phone",
    "+82 (0)10 1234 5678": "phone",
    "O1O-1234-5678": "phone",
    "01O-l234-5678": "phone",
    "공 일 공 일 이 삼 사 오 육 칠 팔": "phone",
    "영일영 1234 5678": "phone",
    "010 1234 오육칠팔": "phone",
    "공일공-일이삼사-오육칠팔이야": "phone",
    "주민번호 900101-1234568이야": "resident",
    "9001011234568": "resident",
    "９００１０１－１２３４５６７": "resident",
    "900101 - 1234567": "resident",
    "주민번호는 2101014234567": "resident",
    "카드 4111 1111 1111 1111": "card",
    "4111-1111-1111-1111": "card",
    "4111.1111.1111.1111": "card",
    "4111–1111–1111–1111": "card",
    "3782 822463 10005": "card",
    "메일은 maru.lee@example.com 이야": "mail",
    "홍길동@naver.com": "mail",
    "hong(at)naver.com": "mail",
    "hong[at]naver.com": "mail",
    "hong（ａｔ）naver.com": "mail",
    "⓪①⓪-①②③④-⑤⑥⑦⑧": "phone",
    "⁰¹⁰⁻¹²³⁴⁻⁵⁶⁷⁸": "phone",
    "me@한국.한국": "mail",
    "me@도메인.kr": "mail",
    "maru＠naver.com": "mail",
    "maru @ naver.com": "mail",
    "maru 골뱅이 naver.com": "mail",
    "maru골뱅이 naver 점 com": "mail",
    "국민은행 123456-78-901234": "account",
    "내 계좌 1002123456789": "account",
    "신한 110123456789": "account",
    "110-123-456789로 보내": "account",
    "계좌는 12-3456-7890": "account",
    "여권번호 M12345678": "passport",
    "여권은 M123A4567": "passport",
    "서울시 강남구 테헤란로 152에 살아": "address",
    "경기도 성남시 분당구 판교역로 166": "address",
    "서울특별시강남구테헤란로152": "address",
    "강남구 역삼동 123-4": "address",
    "양평군 양서면 북한강로 12": "address",
    "부산 해운대로 570": "address",
    "서울 서초구 반포대로 20길 12": "address",
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
    "오늘 경기 우리가 3대1로 이겼어",
    "친구 우리 3명이서 놀자",
    "내 친구 누가 1등이야?",
    "야구 우리가 5점 냈어",
    "농구 내가 3점",
    "부산 누가 2명",
    "배구 동아리 3기",
    "통장에 1000000000원",
    "통장에 1 000 000 000원 있어",
    "2024-2025-2026시즌",
    "문의 1234-5678-9012",
    "비밀번호 10-20-303 뭐였지?",
    "대회 등번호 12-3456-7890",
    "친구 집으로 3시까지 갈게",
    "야구 경기로 2시간 보냈어",
    "지구 종말로 3년 남았대",
    "부산 바다로 2박 3일",
    "부산 앞으로 10 남았어",
    "동구 밖 과수원길 3",
    "대전 상대로 3승",
    "강남구 쪽으로 3시까지",
    "대구 우동 3그릇",
    "골뱅이 무침 2인분",
    "버전 3.11.2",
    "아이피 127.0.0.1",
    "공일공이 뭐야",
    "우리는 하나 2026",
    "오일육 혁명 5월 16일",
    "탁구 대회로 2주 쉬어",
    "가구 배치로 3일 걸렸어",
    "농구 시합으로 1시간 늦어",
    "출구 쪽으로 2분만 와",
]


@pytest.mark.parametrize(("text", "kind"), PERSONAL.items())
def test_personal_data_is_masked(text: str, kind: str) -> None:
    """Recall set: each text has one match of the given kind. Masking again changes nothing."""
    masked, hits = mask_pii(text)
    assert hits == (kind,)
    assert not any(char.isdigit() for char in masked)
    assert mask_pii(masked) == (masked, ())


@pytest.mark.parametrize("text", HARMLESS)
def test_other_numbers_and_words_are_unchanged(text: str) -> None:
    """Precision set: dates, counts, numbers without a valid checksum, and nouns that look like districts."""
    assert mask_pii(text) == (text, ())


def test_only_the_personal_data_is_replaced() -> None:
    """Width, spaces and letters of the other text are unchanged, although the view normalises them."""
    text = "ㅋㅋㅋ  Ａ씨\u200b 번호는\t０１０ － １２３４ － ５６７８\u00a0이야… ＊"
    assert mask_pii(text)[0] == "ㅋㅋㅋ  Ａ씨\u200b 번호는\t[전화번호]\u00a0이야… ＊"
    assert mask_pii("010-1234-5678, me@a.kr, 02-345-6789")[0] == "[전화번호], [메일], [전화번호]"


@pytest.mark.parametrize(
    "piece",
    [
        "1", "가", "1-", "a@", "a.", "@가점", "서울 ", "구 ", "계좌", "010-", "0 ", "공일", "공 1 ", "강남구", "로1", "강남구 테헤란로 1", "여권", "M123",
        "\u0300\u0316", "1\u0300\u0316", "o1", "은행 1", "- ", "1 ",
    ],
)  # fmt: skip
def test_masking_takes_time_linear_in_the_text(piece: str) -> None:
    """Twenty times the text takes about twenty times the work, not four hundred times."""
    assert growth(mask_pii, piece) < 100


_SPELLINGS = [str, lambda text: text.translate(_CIRCLED), lambda text: text.translate(_RAISED), lambda text: text.replace("@", "(at)"), "\u200b".join, "\u3164".join]  # fmt: skip
_CIRCLED, _RAISED = (str.maketrans("0123456789", digits) for digits in ("⓪①②③④⑤⑥⑦⑧⑨", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


@given(
    st.one_of(
        st.text(alphabet=ALPHABET),
        st.builds(lambda spell, text: spell(text), st.sampled_from(_SPELLINGS), st.sampled_from(list(PERSONAL))),
    )
)
def test_the_quick_check_does_not_skip_text_with_personal_data(text: str) -> None:
    """The result is the same with and without the check that runs before the rules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kogpt2_chat.domain.text.masking._has_no_candidate", lambda _text: False)
        complete = mask_pii(text)
    assert mask_pii(text) == complete


@given(st.text(alphabet=ALPHABET))
def test_every_text_can_be_masked(text: str) -> None:
    """Masking never fails, and a text without matches is unchanged."""
    masked, hits = mask_pii(text)
    assert (masked == text) == (not hits)


def test_all_texts_of_a_turn_are_masked() -> None:
    """Question, answer, sender, session and unknown fields at any depth are masked; numbers are kept."""
    phone, mail = "010-1234-5678", "maru@example.com"
    turn = Turn(
        turn_id="bot_question-3-17",
        question_id="q",
        bot="ChatbotA",
        player_id=f"legacy:{phone}",
        sender=phone,
        session_id=mail,
        text=f"나는 {phone}",
        answer=f"{mail} 이군요",
        answer_token_ids=(7, 8),
        received_at="2026-11-24T03:00:00+00:00",
        answered_at="2026-11-24T03:00:00+00:00",
        latency_ms=1,
        consent_store=True,
        consent_train=False,
        source="v1",
        worker="worker-1",
        extra={"contact": {"phones": [phone, {"mail": mail}]}, phone: 1, "mood": "기쁨", "at": 1764000000000},
    )
    masked = masked_turn(turn)
    assert phone not in masked.to_json()
    assert mail not in masked.to_json()
    assert masked.answer_token_ids == (), "the tokens spell the answer"
    assert (masked.sender, masked.extra["mood"], masked.extra["at"]) == ("[전화번호]", "기쁨", 1764000000000)
    assert masked_turn(masked) == masked


def test_values_that_are_nested_too_deeply_are_dropped() -> None:
    """They do not cause an error, and the other fields are kept."""
    deep: object = "010-1234-5678"
    for _ in range(900):
        deep = [deep]
    masked = masked_fields({"deep": deep, "more": {"x": [1, None, True, 0.5]}})
    assert "010" not in str(masked["deep"])
    assert masked["more"] == {"x": [1, None, True, 0.5]}
