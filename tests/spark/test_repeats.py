"""Repeated feedback changes nothing, and invalid consents do not stop the job."""

from datetime import timedelta
from typing import Any

import pytest

from tests.dataset_rules import rules_with
from tests.spark.lake_rows import NOW, OLD, examined, kept, mark, reasons, turn

pytestmark = pytest.mark.slow
JUST_NOW = NOW - timedelta(hours=1)


def test_new_praise_does_not_restart_the_minimum_age(spark: Any) -> None:
    """The age counts from the first praise that is still valid; otherwise one mark per day could block an answer."""
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
        ("praised", "산책을 가 볼까요?"): "quarantine",  # the praise was withdrawn in between
    }


def test_a_repeated_correction_keeps_its_age(spark: Any) -> None:
    """Sending the same correction again does not restart the minimum age; another correction does."""
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


def test_a_consent_other_than_true_is_a_refusal(spark: Any) -> None:
    """Clients can send anything in `extra`; an invalid record must not stop the datasets of all bots."""
    reason_by_extra = {
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
                for word, extra in zip(words, reason_by_extra, strict=True)
            ],
            rules=rules_with(auto_review=True, seed_share=0, assumed_consent=True),
        )
    )
    assert [result["correction", f"{word} 다음이에요."] for word in words] == list(reason_by_extra.values())


def test_which_duplicate_seed_is_kept_does_not_depend_on_the_order_of_rows(spark: Any) -> None:
    """The same corpus gives the same dataset in any order of its rows."""
    rows = [("안녕", "어서 와요!"), ("안녕!!", "어서 와요"), ("안녕?", "어서와요.")]
    assert kept(examined(spark, seeds=rows)) == kept(examined(spark, seeds=rows[::-1]))
