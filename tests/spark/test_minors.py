"""Nothing is learned from minors, whichever release wrote the rows."""

from typing import Any

import pytest

from tests.spark.lake_rows import OLD, examined, mark, reasons, turn

pytestmark = pytest.mark.slow


def test_no_answer_to_a_minor_is_learned(spark: Any) -> None:
    """A worker or an ingest of the last release stored the consent, and left ``minor`` in ``extra``."""
    turns = [
        turn("t1", "배고파", "떡볶이 어때요?", minor=True),
        turn("t2", "추워", "이불을 덮어요.", extra='{"minor":true}'),
        turn("t3", "졸려", "잠깐 눈을 붙여요.", extra='{"minor":"yes"}'),
        turn("t4", "심심해", "산책을 가 볼까요?", minor=False, extra='{"minor":false,"mood":1}'),
        turn("t5", "뭐 해?", "노래를 듣고 있어요.", extra="NaN"),
        turn("t6", "비 와?", "우산을 챙겨요.", extra=None),
    ]
    feedback = [mark(f"t{n}", "up", "player-2") for n in range(1, 7)]
    assert reasons(examined(spark, turns=turns, feedback=feedback)) == {
        ("praised", "떡볶이 어때요?"): "no_consent",
        ("praised", "이불을 덮어요."): "no_consent",
        ("praised", "잠깐 눈을 붙여요."): "no_consent",
        ("praised", "산책을 가 볼까요?"): None,
        ("praised", "노래를 듣고 있어요."): None,
        ("praised", "우산을 챙겨요."): None,
    }


def test_no_correction_of_or_by_a_minor_is_learned(spark: Any) -> None:
    """Not even if the record says that the author consents, and the author's other turns do."""
    turns = [
        turn("t1", "축제가 언제야?", "몰라요."),
        turn("t2", "이름이 뭐야?", "몰라요.", minor=True),
        turn("t3", "어디 살아?", "몰라요.", player_id="young"),
    ]
    feedback = [
        mark("t1", "correction", "young", "토요일이에요.", extra='{"consent_train":true,"minor":true}'),
        mark("t2", "correction", "player-1", "저는 마루예요.", extra='{"consent_train":true}'),
        mark("t3", "correction", "player-1", "바람언덕에 살아요.", extra='{"consent_train":true}'),
    ]
    found = reasons(examined(spark, turns=turns, feedback=feedback))
    assert {answer: reason for (source, answer), reason in found.items() if source == "correction"} == {
        "토요일이에요.": "no_consent",
        "저는 마루예요.": "no_consent",
        "바람언덕에 살아요.": None,
    }


def test_praise_by_a_minor_does_not_count_and_complaints_do(spark: Any) -> None:
    """Praise is a lesson, a complaint only prevents one."""
    turns = [
        turn("t1", "배고파", "떡볶이 어때요?"),
        turn("t2", "추워", "이불을 덮어요."),
        turn("t3", "졸려", "잠깐 눈을 붙여요."),
    ]
    minor = {"extra": '{"minor":true}', "received_at": OLD}
    feedback = [
        mark("t1", "up", "young", **minor),
        mark("t2", "up", "player-2"),
        mark("t2", "report", "young", **minor),
        mark("t3", "up", "young", **minor),
        mark("t3", "up", "player-2"),
    ]
    assert reasons(examined(spark, turns=turns, feedback=feedback)) == {
        ("praised", "떡볶이 어때요?"): "unmarked",
        ("praised", "이불을 덮어요."): "disliked",
        ("praised", "잠깐 눈을 붙여요."): None,
    }
