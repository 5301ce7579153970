"""The view of a text: one form of many spellings, and the way back to where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.text import view as text_view
from kogpt2_chat.domain.text.view import view_of
from tests.growth import growth


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("죽고 싶다", "죽고 싶다"),
        ("\u110c\u116e\u11a8고 싶다", "죽고 싶다"),
        ("ㅈㅜㄱㄱㅗ ㅅㅣㅍㄷㅏ", "죽고 싶다"),
        ("주ㄱ고 시ㅍ다", "죽고 싶다"),
        ("죽고 싶0ㅓ", "죽고 싶어"),
        ("ㅈr살", "자살"),
        ("자 살 하 고 싶 다", "자살하고싶다"),
        ("죽*고.싶~어", "죽고싶어"),
        ("죽고오오오 싶어어어어ㅠㅠㅠㅋㅋㅋ", "죽고 싶어"),
        ("죽\u200b고\u202e 싶어", "죽고 싶어"),
        ("Ｋｉｌｌ ｍｙｓｅｌｆ, I’m k1lling", "kill myself i'm killing"),
        ("０１０－１２３４－５６７８", "010-1234-5678"),
        ("01O-1234", "010-1234"),
        ("10000원", "10000원"),
        ("ㅈㅅ", "ㅈㅅ"),
        ("배고파. 밥 줘!", "배고파 밥 줘"),
        ("\u3164\u200b", ""),
    ],
)
def test_spellings_of_one_thing_look_alike(text, seen):
    """Width, jamo, spacing, repeats, marks and what stands in for a letter are undone; numbers keep their digits."""
    assert view_of(text).text == seen


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("죽ㅈㅏ ㄱ1l0.ㅋ\u1100\u1161\u0301"))))
def test_every_character_of_the_view_knows_its_place(text):
    """The ranges lie in the text, in order, and each is not empty."""
    for view in (view_of(text), view_of(text).without_spaces()):
        assert len(view.text) == len(view.starts) == len(view.ends)
        assert all(0 <= start < end <= len(text) for start, end in zip(view.starts, view.ends, strict=True))
        assert list(view.starts) == sorted(view.starts)


@given(st.text(alphabet=st.sampled_from("죽고싶어오아 ㅈㅏㅋ.?!,1a\n"), max_size=60))
def test_what_is_taken_over_looks_as_if_it_was_worked_out(text):
    """Plain words go a shorter way to the same view."""
    assert view_of(text).text == "".join(char for char, _, _ in text_view._worked_out(text, 0, len(text)))


def test_a_range_of_the_view_is_found_again_in_the_text():
    """So that what was seen can be masked or cut out where it stands."""
    text = "있지… ㅈㅜㄱㄱㅗ  싶ㅇㅓ 정말"
    dense = view_of(text).without_spaces()
    start = dense.text.index("죽고싶어")
    begin, end = dense.span(start, start + 4)
    assert text[begin:end] == "ㅈㅜㄱㄱㅗ  싶ㅇㅓ"


def test_a_word_begins_where_something_was_left_out():
    """Without its spaces the view still tells ``친구가 사라`` from ``가사``."""
    dense = view_of("친구가 사라졌어").without_spaces()
    assert [place for place in range(len(dense.text)) if dense.begins_word(place)] == [0, 3]


@pytest.mark.parametrize(
    "piece", ["가", "ㅏ", "ㄱ", "\u1100", "\u0301", "가 ", "1ㅓ", ".", "ㅋ", "오오", "\u0300\u0316", "가\u0300\u0316"]
)
def test_the_view_takes_time_linear_in_the_text(piece):
    """Twenty times the text takes about twenty times the work, not four hundred times."""
    assert growth(view_of, piece) < 100
