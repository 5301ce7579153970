"""Who says again what they said before changes nothing; what nobody can read stops nothing."""

from datetime import timedelta
from typing import Any

import pytest

from kogpt2_chat.domain.learning.dataset import Rules
from tests.spark.lake_rows import NOW, OLD, examined, kept, mark, reasons, turn

pytestmark = pytest.mark.slow
JUST_NOW = NOW - timedelta(hours=1)


def test_fresh_praise_does_not_send_an_answer_back_into_quarantine(spark: Any) -> None:
    """Its age counts from the first praise that stands, or one thumb a day would rob a bot of all its lessons."""
    result = reasons(
        examined(
            spark,
            turns=[
                turn("t1", "배고파", "떡볶이 어때요?"),
                turn("t2", "추워", "이불을 덮어요."),
                turn("t3", "졸려", "잠깐 눈을 붙여요."),
                turn("t4", "심심해", "산책을 가 볼까요?"),
            ],
            feedback=[
                mark("t1", "up"),
                mark("t1", "up", "player-2", received_at=JUST_NOW),
                mark("t2", "up"),
                mark("t2", "up", received_at=JUST_NOW),
                mark("t3", "up"),
                mark("t3", "wave", "player-2", received_at=JUST_NOW),
                mark("t4", "up"),
                mark("t4", "down", received_at=OLD + timedelta(hours=1)),
                mark("t4", "up", received_at=JUST_NOW),
            ],
        )
    )
    assert result == {
        ("praised", "떡볶이 어때요?"): None,
        ("praised", "이불을 덮어요."): None,
        ("praised", "잠깐 눈을 붙여요."): None,
        ("praised", "산책을 가 볼까요?"): "quarantine",  # it was taken back in between
    }


def test_a_correction_that_is_sent_again_is_as_old_as_it_was(spark: Any) -> None:
    """A client that sends twice, or somebody who insists, must not take a lesson away for a day."""
    result = reasons(
        examined(
            spark,
            turns=[turn("t1", "축제가 언제야?", "몰라요."), turn("t2", "이름이 뭐야", "몰라요.")],
            feedback=[
                mark("t1", "correction", text="토요일 저녁이에요."),
                mark("t1", "correction", text="토요일 저녁이에요.", received_at=JUST_NOW),
                mark("t2", "correction", text="저는 돌이예요."),
                mark("t2", "correction", text="저는 마루예요.", received_at=JUST_NOW),
            ],
        )
    )
    assert result["correction", "토요일 저녁이에요."] is None
    assert result["correction", "저는 마루예요."] == "quarantine"


def test_a_consent_that_is_no_yes_is_none(spark: Any) -> None:
    """A client puts into `extra` what it likes; one record must not stop the datasets of all bots for good."""
    said = {
        '{"consent_train":true}': None,
        '{"consent_train":"maybe"}': "no_consent",
        '{"consent_train":{"yes":1}}': "no_consent",
        '{"consent_train":false}': "no_consent",
        '{"consent_train":null}': None,
        "{": None,
        None: None,
    }
    words = ["하나", "둘", "셋", "넷", "다섯", "여섯", "일곱"]
    result = reasons(
        examined(
            spark,
            turns=[turn(f"t{word}", f"{word} 다음은 뭐야?", "몰라요.") for word in words],
            feedback=[
                mark(f"t{word}", "correction", "player-2", f"{word} 다음이에요.", extra=extra)
                for word, extra in zip(words, said, strict=True)
            ],
            rules=Rules(auto_review=True, seed_share=0, assumed_consent=True),
        )
    )
    assert [result["correction", f"{word} 다음이에요."] for word in words] == list(said.values())


def test_a_pair_that_stands_twice_in_a_corpus_is_kept_the_same_way(spark: Any) -> None:
    """Whatever the order of its rows: the same corpus is the same dataset."""
    rows = [("안녕", "어서 와요!"), ("안녕!!", "어서 와요"), ("안녕?", "어서와요.")]
    assert kept(examined(spark, seeds=rows)) == kept(examined(spark, seeds=rows[::-1]))
