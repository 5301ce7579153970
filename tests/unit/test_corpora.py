"""Properties of the shipped corpora."""

import csv
import json
import re
import unicodedata
from pathlib import Path

import pytest

from kogpt2_chat.artifact.card import verify_folder
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.learning.cleaning import clean, phrase_key, reject_reason
from kogpt2_chat.domain.learning.dataset import PairKeys, assign_splits
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.training.small_key import SHIPPED, is_shipped

MIN_PAIRS = 2000


def pairs(bot: str, name: str) -> list[dict[str, str]]:
    path: Path = CHECKOUT / "corpora" / bot / name
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


@pytest.mark.parametrize("bot", BOT_IDS)
def test_a_seed_corpus_has_enough_different_pairs(bot: str) -> None:
    """Each bot has at least 2,000 pairs and 12 topics. No question is repeated, and nearly all answers differ."""
    seeds = pairs(bot, "seed.csv")
    assert len(seeds) >= MIN_PAIRS
    assert len({row["question"] for row in seeds}) == len(seeds)
    assert len({row["answer"] for row in seeds}) >= 0.95 * len(seeds)
    assert len({row["topic"] for row in seeds}) >= 12


@pytest.mark.parametrize("bot", BOT_IDS)
@pytest.mark.parametrize("name", ["seed.csv", "gold.csv", "dev.csv"])
def test_corpus_text_is_clean(bot: str, name: str) -> None:
    """Text is NFC, has a bounded length, no control or format characters and nothing like a control token."""
    for row in pairs(bot, name):
        for text in (row["question"], row["answer"]):
            assert text == unicodedata.normalize("NFC", text).strip()
            assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in text)
            assert "<" not in text
            assert ">" not in text
            assert 2 <= len(text) <= 60


@pytest.mark.parametrize("bot", BOT_IDS)
@pytest.mark.parametrize(("name", "count"), [("gold.csv", 300), ("dev.csv", 150)])
def test_gold_and_dev_pairs_are_in_no_seed_corpus(bot: str, name: str, count: int) -> None:
    """They share neither a question nor an answer with the seed corpus of any bot."""
    seeds = [row for other in BOT_IDS for row in pairs(other, "seed.csv")]
    reserved = pairs(bot, name)
    assert len(reserved) == count
    for column in ("question", "answer"):
        assert not {phrase_key(row[column]) for row in reserved} & {phrase_key(row[column]) for row in seeds}


@pytest.mark.parametrize("bot", BOT_IDS)
def test_gold_and_dev_share_no_question(bot: str) -> None:
    """Otherwise thresholds would be fitted on pairs of the gate."""
    gold, dev = ({phrase_key(row["question"]) for row in pairs(bot, name)} for name in ("gold.csv", "dev.csv"))
    assert not gold & dev
    assert len(gold) == 300
    assert len(dev) == 150


@pytest.mark.parametrize("bot", BOT_IDS)
def test_there_are_a_hundred_golden_questions(bot: str) -> None:
    """No question is repeated, and each has stems that a good answer contains."""
    golden = json.loads((CHECKOUT / "corpora" / bot / "golden.json").read_text(encoding="utf-8"))
    assert len({phrase_key(entry["question"]) for entry in golden}) == len(golden) == 100
    assert all(len(entry["any_of"]) >= 1 and all(entry["any_of"]) for entry in golden)


POLITE = re.compile(r"(?:요|죠|니다|까)[.!?~…]*$")
"""The end of a sentence in 해요체 or 합쇼체. A few answers end with an exclamation or a quotation."""
COMMON_ERRORS = re.compile(
    r"되요(?![가-힣])|안되|할께|볼께|갈께|줄께|웬지|몇일|어떻해|금새|오랫만|역활|설레임|바램이|구지 |희안|뵈요|왠만|낳았|않해|않되|예여|에여|당신"
)


@pytest.mark.parametrize("bot", BOT_IDS)
def test_answers_are_polite_and_free_of_common_errors(bot: str) -> None:
    """Answers are in 해요체, without 당신 and without common spelling mistakes."""
    impolite, wrong = [], []
    for row in pairs(bot, "seed.csv"):
        if not POLITE.search(row["answer"]):
            impolite.append(row["answer"])
        if COMMON_ERRORS.search(row["answer"]):
            wrong.append(row["answer"])
    assert wrong == []
    assert len(impolite) <= 0.005 * len(pairs(bot, "seed.csv")), impolite


@pytest.mark.parametrize("bot", BOT_IDS)
def test_no_two_questions_differ_only_in_spaces_or_punctuation(bot: str) -> None:
    """Such questions count as one question, which has one answer."""
    keys = [phrase_key(row["question"]) for row in pairs(bot, "seed.csv")]
    assert len(set(keys)) == len(keys)


def test_the_shipped_base_was_trained_with_the_current_corpora_and_settings() -> None:
    """After a change of a seed corpus or a setting of the small base, run `prepare-base --rebuild --ship`."""
    assert is_shipped(Settings())
    weights = SHIPPED / "model.safetensors"
    assert weights.stat().st_size <= 20 * 1024 * 1024
    card = verify_folder(SHIPPED)
    assert card.licence == "Apache-2.0"
    assert card.figures["held_out_nll"] < 0.7 * card.figures["held_out_unigram_nll"]


@pytest.mark.parametrize("bot", BOT_IDS)
def test_must_pass_questions_have_a_seed_answer_that_passes(bot: str) -> None:
    """A must-pass question is a seed question whose seed answer contains one of its stems."""
    answer_by_question = {row["question"]: row["answer"] for row in pairs(bot, "seed.csv")}
    golden = json.loads((CHECKOUT / "corpora" / bot / "golden.json").read_text(encoding="utf-8"))
    must_pass = [entry for entry in golden if entry["must_pass"]]
    assert len(must_pass) >= 10
    for entry in must_pass:
        assert any(stem in answer_by_question[entry["question"]] for stem in entry["any_of"])


@pytest.mark.parametrize("bot", BOT_IDS)
def test_must_pass_questions_are_trained_on(bot: str) -> None:
    """No must-pass question is in a held-out split, and no training rule rejects one."""
    seeds = pairs(bot, "seed.csv")
    keys = [PairKeys(question_key=phrase_key(row["question"]), answer_key=phrase_key(row["answer"])) for row in seeds]
    split_by_question = {row["question"]: placed.split for row, placed in zip(seeds, assign_splits(keys), strict=True)}
    golden = json.loads((CHECKOUT / "corpora" / bot / "golden.json").read_text(encoding="utf-8"))
    assert {split_by_question[entry["question"]] for entry in golden if entry["must_pass"]} == {"train"}
    answer_by_question = {row["question"]: row["answer"] for row in seeds}
    must_pass = [entry["question"] for entry in golden if entry["must_pass"]]
    assert [question for question in must_pass if reject_reason(question, answer_by_question[question])] == []


@pytest.mark.parametrize("bot", BOT_IDS)
def test_nearly_every_seed_pair_is_learned(bot: str) -> None:
    """The rules for what may be learned are meant for players. They reject at most one seed pair in fifty."""
    rows = pairs(bot, "seed.csv")
    rejected = [row["question"] for row in rows if reject_reason(clean(row["question"]), clean(row["answer"]))]
    assert len(rejected) <= len(rows) / 50, rejected
