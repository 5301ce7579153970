"""The view of a text: one form for many spellings, with a mapping back to the original positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.text import view as text_view
from kogpt2_chat.domain.text.view import view_of
from tests.growth import growth


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_spelling_variants_have_the_same_view(text, expected):
    """Width, jamo, spacing, repeats, punctuation and look-alikes are normalised; numbers keep their digits."""
    assert view_of(text).text == expected


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("죽ㅈㅏ ㄱ1l0.ㅋ\u1100\u1161\u0301"))))
def test_every_character_of_the_view_has_a_range_in_the_text(text):
    """The ranges are in order and not empty."""
    for view in (view_of(text), view_of(text).without_spaces()):
        assert len(view.text) == len(view.starts) == len(view.ends)
        assert all(0 <= start < end <= len(text) for start, end in zip(view.starts, view.ends, strict=True))
        assert list(view.starts) == sorted(view.starts)


@given(st.text(alphabet=st.sampled_from("죽고싶어오아 ㅈㅏㅋ.?!,1a\n"), max_size=60))
def test_copied_text_is_the_same_as_normalised_text(text):
    """Text that needs no normalisation is copied, with the same result."""
    assert view_of(text).text == "".join(char for char, _, _ in text_view._normalised(text, 0, len(text)))


def test_a_range_of_the_view_maps_back_to_the_text():
    """Matches are masked or cut in the original text."""
    text = "있지… ㅈㅜㄱㄱㅗ  싶ㅇㅓ 정말"
    dense = view_of(text).without_spaces()
    start = dense.text.index("죽고싶어")
    begin, end = dense.span(start, start + 4)
    assert text[begin:end] == "ㅈㅜㄱㄱㅗ  싶ㅇㅓ"


def test_a_word_begins_after_a_removed_space():
    """So `가사` in `친구가 사라` is not found as a word in the view without spaces."""
    dense = view_of("친구가 사라졌어").without_spaces()
    assert [index for index in range(len(dense.text)) if dense.begins_word(index)] == [0, 3]


@pytest.mark.parametrize(
    "piece", ["가", "ㅏ", "ㄱ", "\u1100", "\u0301", "가 ", "1ㅓ", ".", "ㅋ", "오오", "\u0300\u0316", "가\u0300\u0316"]
)
def test_the_view_takes_time_linear_in_the_text(piece):
    """Twenty times the text takes about twenty times the work, not four hundred times."""
    assert growth(view_of, piece) < 100
