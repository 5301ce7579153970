"""What the shipped seed corpora promise."""

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

LEAST_PAIRS = 2000


def pairs(bot: str, name: str) -> list[dict[str, str]]:
    path: Path = CHECKOUT / "corpora" / bot / name
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


@pytest.mark.parametrize("bot", BOT_IDS)
def test_a_seed_corpus_has_enough_different_pairs(bot: str) -> None:
    """At least 2,000 pairs a bot, no question twice, nearly all answers different."""
    seeds = pairs(bot, "seed.csv")
    assert len(seeds) >= LEAST_PAIRS
    assert len({row["question"] for row in seeds}) == len(seeds)
    assert len({row["answer"] for row in seeds}) >= 0.95 * len(seeds)
    assert len({row["topic"] for row in seeds}) >= 12


@pytest.mark.parametrize("bot", BOT_IDS)
@pytest.mark.parametrize("name", ["seed.csv", "gold.csv", "dev.csv"])
def test_corpus_text_is_clean(bot: str, name: str) -> None:
    """NFC, no control or format characters, nothing that looks like a control token, bounded lengths."""
    for row in pairs(bot, name):
        for text in (row["question"], row["answer"]):
            assert text == unicodedata.normalize("NFC", text).strip()
            assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in text)
            assert "<" not in text
            assert ">" not in text
            assert 2 <= len(text) <= 60


@pytest.mark.parametrize("bot", BOT_IDS)
@pytest.mark.parametrize(("name", "count"), [("gold.csv", 300), ("dev.csv", 150)])
def test_judging_pairs_stand_in_no_seed_corpus(bot: str, name: str, count: int) -> None:
    """What judges a version and what fits its thresholds share neither a question nor an answer with what is learned."""
    seeds = [row for other in BOT_IDS for row in pairs(other, "seed.csv")]
    judging = pairs(bot, name)
    assert len(judging) == count
    for column in ("question", "answer"):
        assert not {phrase_key(row[column]) for row in judging} & {phrase_key(row[column]) for row in seeds}


@pytest.mark.parametrize("bot", BOT_IDS)
def test_gold_and_dev_pairs_are_different_ones(bot: str) -> None:
    """Thresholds are not fitted on what the gate measures."""
    gold, dev = ({phrase_key(row["question"]) for row in pairs(bot, name)} for name in ("gold.csv", "dev.csv"))
    assert not gold & dev
    assert len(gold) == 300
    assert len(dev) == 150


@pytest.mark.parametrize("bot", BOT_IDS)
def test_there_are_a_hundred_golden_questions(bot: str) -> None:
    """Each once, with stems that a good answer contains."""
    golden = json.loads((CHECKOUT / "corpora" / bot / "golden.json").read_text(encoding="utf-8"))
    assert len({phrase_key(entry["question"]) for entry in golden}) == len(golden) == 100
    assert all(len(entry["any_of"]) >= 1 and all(entry["any_of"]) for entry in golden)


POLITE = re.compile(r"(?:요|죠|니다|까)[.!?~…]*$")
"""How a sentence in 해요체 ends; exclamations and quoted words within an answer may end otherwise."""
COMMON_ERRORS = re.compile(
    r"되요(?![가-힣])|안되|할께|볼께|갈께|줄께|웬지|몇일|어떻해|금새|오랫만|역활|설레임|바램이|구지 |희안|뵈요|왠만|낳았|않해|않되|예여|에여|당신"
)


@pytest.mark.parametrize("bot", BOT_IDS)
def test_answers_are_polite_and_free_of_the_commonest_errors(bot: str) -> None:
    """해요체, no 당신, none of the spelling mistakes that everybody makes."""
    rude, wrong = [], []
    for row in pairs(bot, "seed.csv"):
        if not POLITE.search(row["answer"]):
            rude.append(row["answer"])
        if COMMON_ERRORS.search(row["answer"]):
            wrong.append(row["answer"])
    assert wrong == []
    assert len(rude) <= 0.005 * len(pairs(bot, "seed.csv")), rude


@pytest.mark.parametrize("bot", BOT_IDS)
def test_no_two_questions_are_the_same_but_for_spaces_and_marks(bot: str) -> None:
    """What differs in spaces, marks or case only is one question, and has one answer."""
    keys = [phrase_key(row["question"]) for row in pairs(bot, "seed.csv")]
    assert len(set(keys)) == len(keys)


def test_the_base_in_the_checkout_is_made_of_these_corpora_and_settings() -> None:
    """Whoever changes a seed corpus or a setting of the small base makes it anew: `prepare-base --rebuild --ship`."""
    assert is_shipped(Settings())
    weights = SHIPPED / "model.safetensors"
    assert weights.stat().st_size <= 20 * 1024 * 1024
    card = verify_folder(SHIPPED)
    assert card.licence == "Apache-2.0"
    assert card.figures["held_out_nll"] < 0.7 * card.figures["held_out_unigram_nll"]


@pytest.mark.parametrize("bot", BOT_IDS)
def test_must_pass_questions_have_a_seed_answer_that_passes(bot: str) -> None:
    """A golden question that decides is a seed question whose own answer contains one of its stems."""
    answer_by_question = {row["question"]: row["answer"] for row in pairs(bot, "seed.csv")}
    golden = json.loads((CHECKOUT / "corpora" / bot / "golden.json").read_text(encoding="utf-8"))
    deciding = [entry for entry in golden if entry["must_pass"]]
    assert len(deciding) >= 10
    for entry in deciding:
        assert any(stem in answer_by_question[entry["question"]] for stem in entry["any_of"])


@pytest.mark.parametrize("bot", BOT_IDS)
def test_must_pass_questions_are_trained_on(bot: str) -> None:
    """A bot has to know only what it was taught: no deciding question is in a held-out split."""
    seeds = pairs(bot, "seed.csv")
    keys = [PairKeys(question_key=phrase_key(row["question"]), answer_key=phrase_key(row["answer"])) for row in seeds]
    split_by_question = {row["question"]: where.split for row, where in zip(seeds, assign_splits(keys), strict=True)}
    golden = json.loads((CHECKOUT / "corpora" / bot / "golden.json").read_text(encoding="utf-8"))
    assert {split_by_question[entry["question"]] for entry in golden if entry["must_pass"]} == {"train"}
    answer_by_question = {row["question"]: row["answer"] for row in seeds}
    deciding = [entry["question"] for entry in golden if entry["must_pass"]]
    assert [question for question in deciding if reject_reason(question, answer_by_question[question])] == []


@pytest.mark.parametrize("bot", BOT_IDS)
def test_nearly_every_seed_pair_is_learned(bot: str) -> None:
    """The rules of what may be learned are made for players; a bot's own corpus loses one pair in fifty at most."""
    rows = pairs(bot, "seed.csv")
    rejected = [row["question"] for row in rows if reject_reason(clean(row["question"]), clean(row["answer"]))]
    assert len(rejected) <= len(rows) / 50, rejected
