"""When a version's own answer is replaced, and by which answer."""

import json

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.unsure import UNSURE_BY_BOT, unsure_answer
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.nearest import Known, NearestQuestions
from kogpt2_chat.inference.uncertain import (
    FILE,
    DevResult,
    Thresholds,
    Uncertainty,
    as_text,
    choose_answer,
    fit_thresholds,
    known_pairs,
    read_uncertainty,
    when_unsure,
)
from kogpt2_chat.settings import Settings

KNOWN = [
    Known(question="축제 언제 해?", answer="토요일 저녁이에요.", source="seed"),
    Known(question="오늘 너무 피곤해", answer="푹 쉬어요.", source="seed"),
    Known(question="콩떡이 누구야?", answer="고양이 역장님이에요.", source="correction", turn_id="t-1"),
]


def trial(logprob, own, nearest=10.0, likeness=0.5):
    return DevResult(logprob=logprob, likeness=likeness, own=own, nearest=nearest)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("축제는 언제 하나요?", "축제 언제 해?"),
        ("축제언제해", "축제 언제 해?"),
        ("오늘 넘 피곤하다ㅠㅠ", "오늘 너무 피곤해"),
        ("콩떡이가 누구예요", "콩떡이 누구야?"),
    ],
)
def test_other_spellings_find_the_same_question(asked, found):
    """Different endings, missing spaces and typing errors change the likeness little."""
    assert NearestQuestions(KNOWN).find(asked).known.question == found


def test_the_same_letters_have_likeness_1_and_unrelated_questions_are_not_found():
    """Likeness is a cosine; without a common n-gram, or without known questions, nothing is found."""
    index = NearestQuestions(KNOWN)
    assert index.find("축제 언제 해").likeness == pytest.approx(1.0, abs=1e-5)
    assert 0 < index.find("축제 어디서 해?").likeness < 0.9
    assert index.find("xyz 123") is None
    assert index.find("") is None
    assert NearestQuestions([]).find("안녕") is None


def test_the_pair_taught_last_is_found_first():
    """A taught pair comes after the seeds in the index, and the last one of equal questions is found."""
    pairs = [
        Pair(question="이름이 뭐야", answer="새 이름이에요.", source="correction"),
        Pair(question="이름이 뭐야", answer="마루예요."),
    ]
    assert NearestQuestions(known_pairs(pairs)).find("이름이 뭐야?").known.answer == "새 이름이에요."


def test_a_model_that_is_not_better_than_noise_answers_only_what_it_knows_by_heart():
    """The threshold is above the first answer that is worse than the nearest one."""
    trials = [
        trial(-0.1, 10),
        trial(-0.2, 12),
        trial(-0.4, 3),
        *(trial(-1 - n / 10, 3 if n % 2 else 30) for n in range(20)),
    ]
    fitted = fit_thresholds(trials)
    assert fitted.least_logprob == -0.2
    assert fitted.dev_pairs == 23


def test_a_model_that_is_better_than_the_nearest_answers_has_a_lower_threshold():
    """One worse answer among many better ones does not raise the threshold."""
    trials = [trial(-0.1, 3), *(trial(-0.2 - n / 100, 20) for n in range(30)), *(trial(-2 - n, 1) for n in range(60))]
    assert -2.1 > fit_thresholds(trials).least_logprob > -60
    assert fit_thresholds([trial(-0.1, 3), trial(-0.2, 20)]).least_logprob == 0.0


def test_the_least_likeness_excludes_the_oddest_questions():
    """Three in ten dev questions are below it, and it is never below a fixed minimum."""
    assert fit_thresholds([trial(-1, 1, likeness=n / 100) for n in range(100)]).least_likeness == pytest.approx(0.3)
    spread = fit_thresholds([trial(-1, 1, likeness=0.3 + n / 1000) for n in range(100)])
    assert spread.least_likeness == pytest.approx(0.33)


@pytest.mark.parametrize(
    ("choice", "logprob", "question", "who"),
    [
        ("nearest", -0.5, "축제 언제 하지", "model"),
        ("nearest", -0.51, "축제 언제 하지", "nearest"),
        ("nearest", -0.51, "xyz", "unsure"),
        ("notice", -0.51, "축제 언제 하지", "unsure"),
        ("model", -9.0, "xyz", "model"),
    ],
)
def test_whose_answer_is_used(choice, logprob, question, who):
    """The model's own answer is used from its threshold on, otherwise the one that the settings choose."""
    uncertainty = Uncertainty(Thresholds(least_logprob=-0.5, least_likeness=0.3, dev_pairs=9), NearestQuestions(KNOWN))
    answered_by, found = choose_answer(uncertainty, choice, logprob, question)
    assert answered_by == who
    assert (found is not None) == (who == "nearest")
    assert choose_answer(None, choice, -9.0, question) == ("model", None)


def test_the_default_for_unsure_answers_depends_on_the_base():
    """With a small base it is the nearest answer, otherwise the model's own; a setting per bot takes precedence."""
    settings = Settings(serving={"uncertain": {"ChatbotB": "notice"}})
    assert when_unsure(settings, "ChatbotA", small=True) == "nearest"
    assert when_unsure(settings, "ChatbotA", small=False) == "model"
    assert when_unsure(settings, "ChatbotB", small=True) == "notice"


def test_a_version_contains_its_thresholds_and_known_pairs(tmp_path):
    """Pairs are stored with their source; a version without the file has none; a broken file is refused."""
    assert read_uncertainty(tmp_path) is None
    thresholds = Thresholds(least_logprob=-0.7, least_likeness=0.3, dev_pairs=150)
    (tmp_path / FILE).write_text(as_text(thresholds, KNOWN), "utf-8")
    read = read_uncertainty(tmp_path)
    assert read.thresholds == thresholds
    assert read.known.known == tuple(KNOWN)
    content = json.loads((tmp_path / FILE).read_text("utf-8"))
    assert [row[2] for row in content["known"]] == ["seed", "seed", "correction"]  # as an earlier release reads it
    assert content["turn_ids"] == ["", "", "t-1"]
    del content["turn_ids"]  # as an earlier release wrote it
    (tmp_path / FILE).write_text(json.dumps(content), "utf-8")
    assert [row.turn_id for row in read_uncertainty(tmp_path).known.known] == ["", "", ""]
    for broken in (
        "{",
        "[]",
        '{"least_logprob": "x"}',
        '{"least_logprob": 0, "least_likeness": 0, "dev_pairs": 1, "known": [[1]]}',
        '{"least_logprob": 0, "least_likeness": 0, "dev_pairs": 1, "known": [[1, 2, 3]], "turn_ids": []}',
    ):
        (tmp_path / FILE).write_text(broken, "utf-8")
        with pytest.raises(CheckpointCorrupt, match="take the previous version"):
            read_uncertainty(tmp_path)


@pytest.mark.parametrize("bot", BOT_IDS)
def test_a_bot_has_several_texts_for_unsure_answers(bot):
    """They are in polite speech; the text depends only on the turn."""
    texts = UNSURE_BY_BOT[bot]
    assert len(set(texts)) >= 5
    assert all(text.rstrip(".!?").endswith("요") for text in texts)
    assert unsure_answer(bot, "bot_question-1-2") == unsure_answer(bot, "bot_question-1-2")
    assert len({unsure_answer(bot, f"bot_question-0-{n}") for n in range(60)}) == len(texts)


def test_the_most_similar_questions_come_best_first():
    """The first is the one that `find` returns, also of equally similar ones; unrelated questions are left out."""
    index = NearestQuestions([*KNOWN, Known(question="축제 언제 해", answer="또 토요일.", source="praised")])
    found = index.find_most("축제 언제 해?", 3)
    assert [hit.known.answer for hit in found][:2] == ["또 토요일.", "토요일 저녁이에요."]
    assert found[0] == index.find("축제 언제 해?")
    assert all(hit.likeness > 0 for hit in found)
    assert index.find_most("xyz 123", 3) == []
    assert len(index.find_most("누구 언제 오늘", 1)) == 1
    assert NearestQuestions([]).find_most("안녕", 3) == []
