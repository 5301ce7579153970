"""The chat format: prompts, and answers without control tokens."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat import prompt
from kogpt2_chat.domain.text.characters import one_line
from tests.growth import growth


def test_control_tokens_have_the_ids_of_kogpt2():
    """The ids are those of skt/kogpt2-base-v2."""
    expected = {"<s>": 0, "</s>": 1, "<usr>": 2, "<pad>": 3, "<sys>": 4, "<unk>": 5, "<mask>": 6, "<d>": 7, "</d>": 8}
    assert {token: prompt.CONTROL_ID_BY_TOKEN[token] for token in expected} == expected
    assert prompt.CONTROL_ID_BY_TOKEN["<unused0>"] == 9
    assert prompt.CONTROL_ID_BY_TOKEN["<unused1>"] == 10


def test_a_prompt_consists_of_user_token_question_and_system_token():
    """Between question and `<sys>` is a separator. The prompt is a list of token ids."""
    assert prompt.prompt_ids([200, 201], 16) == [2, 200, 201, 10, 4]


def test_a_question_that_is_too_long_is_cut_at_its_end():
    """The control tokens of the prompt are kept."""
    assert prompt.prompt_ids(list(range(200, 300)), 6) == [2, 200, 201, 202, 10, 4]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  안녕\t하세요\n ", "안녕 하세요"),
        ("\u1112\u1161\u11ab글", "한글"),
        ("숨\u200b은\u202e 글자\x00", "숨은 글자"),
        ("＜ｕｓｒ＞", "＜ｕｓｒ＞"),
        ("좋아요 😀", "좋아요 😀"),
    ],
)
def test_normalising_is_nfc_without_hidden_characters(raw, clean):
    """The form is NFC, not NFKC: full-width characters are unchanged."""
    assert one_line(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("네</s> 좋아요", "네 좋아요"),
        ("<u<usr>sr>그래요", "그래요"),
        ("<unused1><sys>안녕", "안녕"),
        ("1 < 2 그리고 <b>", "1 < 2 그리고 <b>"),
        ("\ufffd깨진 글자\ufffd", "깨진 글자"),
        ("\u1100\u200b\u1161", "가"),
        ("\u1100</s>\u1161", "가"),
    ],
)
def test_an_answer_has_no_control_tokens(raw, clean):
    """A control token that forms when an inner one is removed is removed as well. Other text stays."""
    assert prompt.answer_text(raw) == clean


def test_an_answer_is_cut_to_the_limit():
    """No answer is longer than ``max_chars``."""
    assert prompt.answer_text("가나 " * 300, 10) == "가나 가나 가나 가"


@given(st.text())
def test_no_answer_has_a_control_token_or_character(text):
    """Whatever the model outputs, the answer is one line of NFC text within the length limit."""
    answer = prompt.answer_text(text)
    assert not prompt.has_control_token(answer)
    assert answer == one_line(answer)
    assert len(answer) <= prompt.MAX_SERVED_ANSWER_CHARS
    assert unicodedata.is_normalized("NFC", answer)


@pytest.mark.parametrize(
    "pieces", [("<u", "<usr>", "sr>"), ("<", "</s>", "/s>"), ("<", "s", ">"), ("\u0300", "\u0316", "")]
)
def test_cleaning_an_answer_takes_time_linear_in_the_output(pieces):
    """The control tokens in the output are nested as deeply as the output is long."""
    first, middle, last = pieces
    assert growth(lambda text: prompt.answer_text(first * len(text) + middle + last * len(text)), "x") < 100
