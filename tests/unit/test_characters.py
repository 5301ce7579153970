"""Normal forms and invisible characters of text."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.text import characters
from kogpt2_chat.domain.text.characters import MAX_MARKS, nfc, nfkc, one_line, shows_nothing
from tests.growth import growth

MARKS = "\u0300\u0316\u0f73\u0344\uff9e\u0958\u20d0\U0001d165가a\u1100ᾂ"


def normalizing_steps(function, text, monkeypatch) -> int:
    """Return an upper bound of the comparisons in ``unicodedata``, which sorts each run of marks by insertion."""
    steps = 0

    def counting_normalize(form, text):
        nonlocal steps
        run = 0
        for char in unicodedata.normalize("NFKD", text):
            run = run + 1 if unicodedata.combining(char) else 0
            steps += 1 + run
        return original(form, text)

    original = unicodedata.normalize
    with monkeypatch.context() as patch:
        patch.setattr(characters, "unicodedata", PatchedUnicodedata(counting_normalize))
        function(text)
    return steps


class PatchedUnicodedata:
    """A ``unicodedata`` with another ``normalize``."""

    def __init__(self, normalize):
        self.normalize = normalize
        self.combining, self.category = unicodedata.combining, unicodedata.category


@pytest.mark.parametrize("function", [nfc, nfkc, one_line])
@pytest.mark.parametrize("piece", ["\u0300\u0316", "\u0f73", "\uff9e\u0316", "\u0344", "ᾂ\u0316", "가", "\u0958"])
def test_normalization_takes_linear_time(function, piece, monkeypatch):
    """Eight times the text takes eight times the steps, with any number of marks on one letter."""
    short, long = (normalizing_steps(function, piece * length, monkeypatch) for length in (1_000, 8_000))
    assert long <= 9 * max(short, 1_000)
    assert growth(function, piece) < 100


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(MARKS)), max_size=200))
def test_normalisation_is_idempotent(text):
    """This includes letters with so many marks that some are removed."""
    for form in (nfc, nfkc, one_line):
        assert form(form(text)) == form(text)
    assert unicodedata.is_normalized("NFC", nfc(text))
    assert unicodedata.is_normalized("NFC", one_line(text))


@given(st.text(max_size=MAX_MARKS // 3))
def test_ordinary_text_gets_the_normal_form_of_the_library(text):
    """Letters with few marks keep all of them."""
    assert nfc(text) == unicodedata.normalize("NFC", text)
    assert nfkc(text) == unicodedata.normalize("NFKC", text)


def test_the_quick_search_finds_every_mark():
    """The regular expression that lets most texts pass quickly matches every character that can form a run of marks."""
    missed = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if not 0xD800 <= code < 0xE000
        and characters._marks(chr(code))[0]
        and not characters._MAY_BE_MARKS.search(chr(code) * MAX_MARKS)
    ]
    assert missed == []


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
def test_invisible_characters_show_nothing(text):
    """These are default ignorable characters, fillers and white space."""
    assert shows_nothing(text)


@pytest.mark.parametrize("text", ["가", ".", "\u0301", "❤\ufe0f", "\u200b!"])
def test_visible_characters_show_something(text):
    """One visible character is enough."""
    assert not shows_nothing(text)
