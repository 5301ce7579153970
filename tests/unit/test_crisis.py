"""Detection of crises, measured on sentences whose authors did not see the rules.

The rules are tuned on ``*_tune.csv`` and ``corpora/crisis``; the classifier is trained on ``corpora/crisis``. Do not look
at the texts in ``*_test.csv`` and ``*_unseen.csv``, only at the counts, and rarely. Otherwise new sets are needed.
"""

import csv
import os
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.safety.crisis import find_crisis
from kogpt2_chat.settings import CHECKOUT

FOLDER = Path(__file__).with_name("crisis")
CORPORA = sorted((Path(__file__).parents[2] / "corpora").glob("Chatbot?/seed.csv"))
# Rows of ChatbotData.csv (the header is row 1) that are clearly about a crisis, without any context.
CHATBOT_DATA_ROWS = (
    338, 4244, 4245, 4989, 4991, 5525, 5680, 5953, 5954, 8049, 8083, 8165, 8166, 8167, 8168, 8175, 8270, 8988, 9852,
    11122, 11127,
)  # fmt: skip


def texts(name: str) -> list[str]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def recall_and_precision(name: str) -> tuple[float, float]:
    """Return recall and precision without showing the texts."""
    crises, lookalikes = texts(f"crisis_{name}"), texts(f"lookalikes_{name}")
    found = sum(find_crisis(text) is not None for text in crises)
    false = sum(find_crisis(text) is not None for text in lookalikes)
    return found / len(crises), found / (found + false)


@pytest.mark.parametrize(
    ("name", "minimum"), [("tune", (0.99, 0.99)), ("test", (0.92, 0.97)), ("unseen", (0.89, 0.92))]
)
def test_recall_and_precision_do_not_fall(name, minimum):
    """A change of the rules must keep the results reached so far, which are in docs/measurements.md."""
    recall, precision = recall_and_precision(name)
    assert (recall >= minimum[0], precision >= minimum[1]) == (True, True), f"{recall:.3f}, {precision:.3f}"


@pytest.mark.xfail(strict=True, reason="0.90 so far: the recall goal is not reached on unseen sentences")
def test_recall_on_unseen_sentences_reaches_the_goal():
    """At least 95 % of the crises are found."""
    assert recall_and_precision("unseen")[0] >= 0.95


@pytest.mark.parametrize("name", ["test", "unseen"])
def test_precision_on_unseen_sentences_reaches_the_goal(name):
    """At least 90 % of the matches are crises."""
    assert recall_and_precision(name)[1] >= 0.9


def test_the_sets_are_large_enough():
    """Each set has at least 150 crises and 150 look-alikes."""
    for name in ("tune", "test", "unseen"):
        assert len(texts(f"crisis_{name}")) >= 150
        assert len(texts(f"lookalikes_{name}")) >= 150


def test_hardly_any_everyday_question_matches():
    """At most 0.25 % of the questions in the seed corpora match."""
    assert {path.parent.name for path in CORPORA} == set(BOT_IDS)
    questions = [row["question"] for path in CORPORA for row in csv.DictReader(path.read_text("utf-8").splitlines())]
    found = [text for text in questions if find_crisis(text) is not None]
    assert len(found) <= 0.0025 * len(questions), found


@pytest.mark.parametrize(
    "text",
    [
        "애인이 바람피웠어",
        "설이 생일 언제야",
        "돈벼락 맞고 싶다",
        "축제 때 같이 갈 사람이 없어",
        "친구가 나한테만 차가워",
        "짝남이 생겨버렸어",
        "우리 집 고양이가 키보드 밟았어",
    ],
)
def test_accidental_words_across_word_boundaries_do_not_match(text):
    """The part after a gap of a rule must begin a word or follow a particle."""
    assert find_crisis(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("그냥 없어지고 싶다", "suicide"),
        ("ㅈㅜㄱㄱㅗ ㅅㅣㅍㄷㅏ", "suicide"),
        ("자 살 하 고 싶 어", "suicide"),
        ("ㅈㅅ하고 싶다", "suicide"),
        ("유서 다 썼어", "suicide"),
        ("친구가 옥상에 올라가 있어요", "suicide"),
        ("게임도 재미없고 죽고 싶다", "suicide"),
        ("또 손목 그었어", "self_harm"),
        ("아빠가 또 때렸어", "abuse"),
        ("남편한테 맞고 살아요", "abuse"),
        ("아기가 숨을 안 쉬어요", "medical"),
        ("피가 안 멈춰", "medical"),
        ("I want to kill myself", "suicide"),
        ("my husband hits me", "abuse"),
        ("he collapsed and isn't breathing", "medical"),
        ("배고파 죽겠다", None),
        ("웃겨 죽는 줄 알았어", None),
        ("네가 보고 싶어 죽겠어", None),
        ("유서 깊은 절이야", None),
        ("사유서 써야 해", None),
        ("자살골 넣었어", None),
        ("혼자 살고 싶어", None),
        ("여자해보고 싶어", None),
        ("노래 가사에 죽고 싶다는 말이 나와", None),
        ("게임에서 보스한테 또 죽었어", None),
        ("I'm dying to see that movie", None),
        ("", None),
    ],
)
def test_the_kind_of_crisis_is_recognised(text, kind):
    """Idioms, games, lyrics and similar words do not match and go to the model."""
    found = find_crisis(text)
    assert (found.kind if found else None) == kind


def test_a_match_has_its_position_in_the_original_text():
    """This also holds for text in another spelling."""
    text = "안녕 " * 3000 + "이제 ㅈㅜㄱㄱㅗ 싶ㅇㅓ" + " 안녕" * 3000
    found = find_crisis(text)
    assert found is not None
    assert "ㅈㅜㄱㄱㅗ" in text[found.start : found.end]


CHATBOT_DATA = Path(os.environ.get("KOGPT2_TEST_CHATBOT_DATA", CHECKOUT.parent / "shared/data/ChatbotData.csv"))
"""The public corpus. It is not in the repository."""


@pytest.mark.skipif(not CHATBOT_DATA.is_file(), reason=f"not tested here: {CHATBOT_DATA} is missing")
def test_the_public_corpus_has_hardly_any_false_matches():
    """All sentences about a crisis match, and at most 0.3 % of the other sentences with label 0 (everyday life)."""
    with CHATBOT_DATA.open(encoding="utf-8", newline="") as file:
        found = [(number, row) for number, row in enumerate(csv.DictReader(file), start=2) if find_crisis(row["Q"])]
    assert set(CHATBOT_DATA_ROWS) <= {number for number, _ in found}
    everyday = [row for number, row in found if row["label"] == "0" and number not in CHATBOT_DATA_ROWS]
    assert len(everyday) <= 0.003 * 5290
