"""The crisis classifier, with small test weights and with the weights of the project."""

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
    """Each n-gram counts once and unknown ones do not count. The result is the most likely kind."""
    found = likely_crisis("숨 숨 이", WEIGHTS)
    assert found is not None
    assert (found.kind, found.start, found.end) == ("medical", 0, 5)
    assert found.probability == pytest.approx(1 / (1 + 2.718281828**-1), abs=1e-4)
    assert likely_crisis("이제", WEIGHTS) is None
    assert likely_crisis("끝 게임", WEIGHTS) is None


def test_a_long_text_is_classified_in_windows():
    """A crisis at the end of a text is found there, independently of text far before it."""
    text = "게임 " * 100 + "아 " * WINDOW + "끝"
    found = likely_crisis(text, WEIGHTS)
    assert found is not None
    assert found.kind == "suicide"
    assert text[found.start : found.end].endswith("끝")
    assert found.end - found.start <= WINDOW


def test_an_ngram_has_one_to_four_characters():
    """A space is added at both ends of the text, so that a whole word differs from a part of a word."""
    assert ngrams("가나") == {" ", "가", "나", " 가", "가나", "나 ", " 가나", "가나 ", " 가나 "}
    assert ngrams("") == {" ", "  "}


@pytest.mark.parametrize("text", ["", " ", "...", "ㅋㅋㅋ"])
def test_a_text_without_words_does_not_match(text):
    """The view of such a text is empty, so there is no position to return."""
    assert find_crisis(text) is None


def test_indirect_wordings_without_a_rule_are_found():
    """The classifier finds them by their n-grams."""
    text = "내일이면 다 조용해지겠지 그동안 고마웠어"
    found = find_crisis(text)
    assert find_by_rules(text) is None
    assert found is not None
    assert found.kind == "suicide"


def test_the_weights_were_fitted_on_the_current_texts():
    """After a change of a training text, run ``scripts/fit_crisis.py``."""
    texts = [CHECKOUT / "corpora/crisis" / f"{name}.csv" for name in ("crisis", "lookalikes", "ordinary")]
    texts += sorted((CHECKOUT / "corpora").glob("Chatbot?/seed.csv"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in texts)).hexdigest()[:16]
    with WEIGHTS_FILE.open(encoding="utf-8") as file:
        assert json.loads(file.readline())["training"] == digest
