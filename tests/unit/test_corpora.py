"""What the shipped seed corpora promise."""

import csv
import json
import unicodedata
from pathlib import Path

import pytest

from kogpt2_chat.domain.bots import BOT_IDS
from kogpt2_chat.domain.cleaning import phrase_key
from kogpt2_chat.domain.dataset import Pair, place
from kogpt2_chat.settings import CHECKOUT

LEAST_PAIRS = 600


def pairs(bot: str, name: str) -> list[dict[str, str]]:
    path: Path = CHECKOUT / "corpora" / bot / name
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


@pytest.mark.parametrize("bot", BOT_IDS)
def test_a_seed_corpus_has_enough_different_pairs(bot: str) -> None:
    """At least 600 pairs a bot, no question twice, nearly all answers different."""
    seeds = pairs(bot, "seed.csv")
    assert len(seeds) >= LEAST_PAIRS
    assert len({row["question"] for row in seeds}) == len(seeds)
    assert len({row["answer"] for row in seeds}) >= 0.95 * len(seeds)
    assert len({row["topic"] for row in seeds}) >= 12


@pytest.mark.parametrize("bot", BOT_IDS)
@pytest.mark.parametrize("name", ["seed.csv", "gold.csv"])
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
def test_gold_pairs_stand_in_no_seed_corpus(bot: str) -> None:
    """The frozen evaluation set shares neither a question nor an answer with anything a bot learns."""
    seeds = [row for other in BOT_IDS for row in pairs(other, "seed.csv")]
    gold = pairs(bot, "gold.csv")
    assert len(gold) == 60
    assert not {row["question"] for row in gold} & {row["question"] for row in seeds}
    assert not {row["answer"] for row in gold} & {row["answer"] for row in seeds}


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
    keys = [Pair(question_key=phrase_key(row["question"]), answer_key=phrase_key(row["answer"])) for row in seeds]
    split_by_question = {row["question"]: where.split for row, where in zip(seeds, place(keys), strict=True)}
    golden = json.loads((CHECKOUT / "corpora" / bot / "golden.json").read_text(encoding="utf-8"))
    assert {split_by_question[entry["question"]] for entry in golden if entry["must_pass"]} == {"train"}
