"""Normal forms and what shows nothing: the same for every text from outside, and linear in it."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.text import characters
from kogpt2_chat.domain.text.characters import MAX_MARKS, nfc, nfkc, one_line, shows_nothing
from tests.growth import growth

MARKS = "\u0300\u0316\u0f73\u0344\uff9e\u0958\u20d0\U0001d165가a\u1100ᾂ"


def normalizing_steps(work, text, monkeypatch) -> int:
    """How many comparisons the library needs at the most: it sorts each run of marks by insertion."""
    steps = 0

    def counted(form, text):
        nonlocal steps
        run = 0
        for char in unicodedata.normalize("NFKD", text):
            run = run + 1 if unicodedata.combining(char) else 0
            steps += 1 + run
        return original(form, text)

    original = unicodedata.normalize
    with monkeypatch.context() as patch:
        patch.setattr(characters, "unicodedata", Counted(counted))
        work(text)
    return steps


class Counted:
    """The library, with one function replaced."""

    def __init__(self, normalize):
        self.normalize = normalize
        self.combining, self.category = unicodedata.combining, unicodedata.category


@pytest.mark.parametrize("work", [nfc, nfkc, one_line])
@pytest.mark.parametrize("piece", ["\u0300\u0316", "\u0f73", "\uff9e\u0316", "\u0344", "ᾂ\u0316", "가", "\u0958"])
def test_a_normal_form_takes_steps_linear_in_the_text(work, piece, monkeypatch):
    """However many marks stand on one letter: eight times the text, eight times the steps."""
    short, long = (normalizing_steps(work, piece * length, monkeypatch) for length in (1_000, 8_000))
    assert long <= 9 * max(short, 1_000)
    assert growth(work, piece) < 100


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(MARKS)), max_size=200))
def test_a_normal_form_is_its_own_normal_form(text):
    """Also of letters that lost marks."""
    for form in (nfc, nfkc, one_line):
        assert form(form(text)) == form(text)
    assert unicodedata.is_normalized("NFC", nfc(text))
    assert unicodedata.is_normalized("NFC", one_line(text))


@given(st.text(max_size=MAX_MARKS // 3))
def test_ordinary_text_has_the_normal_form_of_the_library(text):
    """Nothing is taken from a letter that has a few marks."""
    assert nfc(text) == unicodedata.normalize("NFC", text)
    assert nfkc(text) == unicodedata.normalize("NFKC", text)


def test_every_mark_is_looked_for():
    """The quick search, which nearly every text ends at, passes over no character that can make a run."""
    passed_over = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if not 0xD800 <= code < 0xE000
        and characters._marks(chr(code))[0]
        and not characters._MAY_BE_MARKS.search(chr(code) * MAX_MARKS)
    ]
    assert passed_over == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u200b",
        "\ufe0f",
        "\U000e0100",
        "\u180b",
        "\U0001d173",
        "\U0001bca0",
        "\u3164 \u2800",
        "\x00",
        "\u17b4",
    ],
)
def test_what_nobody_sees_shows_nothing(text):
    """Default ignorable characters, fillers and white space."""
    assert shows_nothing(text)


@pytest.mark.parametrize("text", ["가", ".", "\u0301", "❤\ufe0f", "\u200b!"])
def test_what_somebody_sees_shows_something(text):
    """One visible character is enough."""
    assert not shows_nothing(text)
