"""What the classifier of crises makes of a text, by weights of its own and by those that come with the project."""

import hashlib
import json

import pytest

from kogpt2_chat.domain.safety.crisis import find_by_rules, find_crisis
from kogpt2_chat.domain.safety.crisis_classifier import WEIGHTS_FILE, WINDOW, Weights, likely_crisis, ngrams
from kogpt2_chat.settings import CHECKOUT

WEIGHTS = Weights(
    kinds=("suicide", "medical"),
    threshold=0.5,
    intercepts=(-3.0, 0.0, 0.0),
    by_ngram={"끝": (4.0, 1.0, 0.0), "숨": (4.0, 0.0, 1.0), "게임": (-9.0, 0.0, 0.0)},
)


def test_weights_add_up_over_the_ngrams_of_a_text():
    """Each n-gram counts once, unknown ones not at all; the likeliest kind is told."""
    found = likely_crisis("숨 숨 이", WEIGHTS)
    assert found is not None
    assert (found.kind, found.start, found.end) == ("medical", 0, 5)
    assert found.probability == pytest.approx(1 / (1 + 2.718281828**-1), abs=1e-4)
    assert likely_crisis("이제", WEIGHTS) is None
    assert likely_crisis("끝 게임", WEIGHTS) is None


def test_a_long_text_is_looked_at_a_stretch_at_a_time():
    """What is said at its end is found there, whatever stands far before it."""
    text = "게임 " * 100 + "아 " * WINDOW + "끝"
    found = likely_crisis(text, WEIGHTS)
    assert found is not None
    assert found.kind == "suicide"
    assert text[found.start : found.end].endswith("끝")
    assert found.end - found.start <= WINDOW


def test_an_ngram_has_one_to_four_characters():
    """Ends of the text are spaces, so that a word is told from a part of one."""
    assert ngrams("가나") == {" ", "가", "나", " 가", "가나", "나 ", " 가나", "가나 ", " 가나 "}
    assert ngrams("") == {" ", "  "}


@pytest.mark.parametrize("text", ["", " ", "...", "ㅋㅋㅋ"])
def test_nothing_is_found_where_nothing_is_said(text):
    """An empty view has no place to point at."""
    assert find_crisis(text) is None


def test_veiled_words_that_no_rule_names_are_found():
    """By what they are made of; the place is that of the message."""
    text = "내일이면 다 조용해지겠지 그동안 고마웠어"
    found = find_crisis(text)
    assert find_by_rules(text) is None
    assert found is not None
    assert found.kind == "suicide"


def test_the_weights_fit_their_texts():
    """Whoever changes a text runs ``scripts/fit_crisis.py``."""
    texts = [CHECKOUT / "corpora/crisis" / f"{name}.csv" for name in ("crisis", "lookalikes", "ordinary")]
    texts += sorted((CHECKOUT / "corpora").glob("Chatbot?/seed.csv"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in texts)).hexdigest()[:16]
    with WEIGHTS_FILE.open(encoding="utf-8") as file:
        assert json.loads(file.readline())["training"] == digest
