"""The dataset's rules, applied to small frames."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dataset_rules import rules_with
from tests.spark.lake_rows import FREE, NOW, OLD, examined, mark, reasons, turn

pytestmark = pytest.mark.slow


def test_a_bots_answer_without_feedback_is_never_learned(spark: Any) -> None:
    """Only an answer that is praised and not disliked becomes an example."""
    result = reasons(
        examined(
            spark,
            turns=[
                turn("t1", "뭐 해?", "노래를 듣고 있어요."),
                turn("t2", "배고파", "떡볶이 어때요?"),
                turn("t3", "심심해", "산책을 가 볼까요?"),
                turn("t4", "졸려", "잠깐 눈을 붙여요.", fallback="timeout"),
            ],
            feedback=[mark("t2", "up"), mark("t3", "up"), mark("t3", "down", "player-2"), mark("t4", "up")],
        )
    )
    assert result == {
        ("praised", "노래를 듣고 있어요."): "unmarked",
        ("praised", "떡볶이 어때요?"): None,
        ("praised", "산책을 가 볼까요?"): "disliked",
        ("praised", "잠깐 눈을 붙여요."): "fallback",
    }


def test_the_last_feedback_of_a_player_on_a_turn_counts(spark: Any) -> None:
    """Feedback is ordered by the broker's clock and then by position."""
    result = reasons(
        examined(
            spark,
            turns=[turn("t1", "배고파", "떡볶이 어때요?"), turn("t2", "추워", "이불을 덮어요.")],
            feedback=[
                mark("t1", "down"),
                mark("t1", "up"),
                mark("t2", "up"),
                mark("t2", "report", received_at=OLD + timedelta(minutes=1)),
            ],
        )
    )
    assert result == {("praised", "떡볶이 어때요?"): None, ("praised", "이불을 덮어요."): "disliked"}


def test_a_correction_needs_review_or_two_players_who_agree(spark: Any) -> None:
    """Two corrections agree even if they differ in spaces and punctuation."""
    turns = [
        turn("t1", "축제가 언제야?", "몰라요."),
        turn("t2", "축제가 언제야", "글쎄요."),
        turn("t3", "이름이 뭐야", "몰라요"),
    ]
    feedback = [
        mark("t1", "correction", "player-1", "토요일 저녁이에요."),
        mark("t2", "correction", "player-2", "토요일  저녁이에요!"),
        mark("t3", "correction", "player-3", "저는 마루예요."),
    ]
    strict = rules_with(auto_review=False, seed_share=0, assumed_consent=True)
    result = reasons(examined(spark, turns=turns, feedback=feedback, rules=strict))
    assert result["correction", "저는 마루예요."] == "needs_review"
    kept = [answer for (source, answer), reason in result.items() if source == "correction" and reason is None]
    assert len(kept) == 1
    assert reasons(examined(spark, turns=turns, feedback=feedback))["correction", "저는 마루예요."] is None


def test_turns_without_consent_or_below_the_minimum_age_are_rejected(spark: Any) -> None:
    """A turn without consent to training, or younger than the minimum age, is not learned from."""
    result = reasons(
        examined(
            spark,
            turns=[
                turn("t1", "배고파", "떡볶이 어때요?", consent_train=False),
                turn("t2", "추워", "이불을 덮어요.", answered_at=NOW - timedelta(hours=1)),
            ],
            feedback=[mark("t1", "up"), mark("t2", "up")],
        )
    )
    assert result == {("praised", "떡볶이 어때요?"): "no_consent", ("praised", "이불을 덮어요."): "quarantine"}


def test_a_correction_replaces_the_seed_answer(spark: Any) -> None:
    """A corrected question has exactly one answer: its newest correction."""
    result = reasons(
        examined(
            spark,
            seeds=[("이름이 뭐야?", "저는 돌이예요."), ("안녕", "어서 와요!")],
            turns=[turn("t1", "이름이 뭐야", "저는 돌이예요.")],
            feedback=[
                mark("t1", "correction", "player-1", "저는 마루예요."),
                mark("t1", "correction", "player-2", "마루라고 불러 주세요.", received_at=OLD + timedelta(hours=1)),
            ],
        )
    )
    assert result == {
        ("seed", "저는 돌이예요."): "superseded",
        ("seed", "어서 와요!"): None,
        ("praised", "저는 돌이예요."): "disliked",
        ("correction", "저는 마루예요."): "superseded",
        ("correction", "마루라고 불러 주세요."): None,
    }


def test_duplicates_and_gold_pairs_are_rejected(spark: Any) -> None:
    """Duplicates are found by normalised text. A question or an answer in the gold set is enough for a rejection."""
    result = examined(
        spark,
        seeds=[
            ("안녕", "어서 와요!"),
            ("안녕!!", "어서 와요"),
            ("금색 질문", "대답이에요."),
            ("다른 질문", "금색 대답."),
        ],
        gold=["금색질문", "금색대답"],
    )
    assert sorted(str(row["reason"]) for row in result.collect()) == ["None", "duplicate", "gold", "gold"]


def test_caps_count_only_rows_that_are_kept(spark: Any) -> None:
    """The newest taught rows stay, and rows with another reason do not count toward the caps."""
    numbers = ["하나", "둘", "셋", "넷"]
    turns = [turn(f"t{n}", f"{word} 다음은 뭐야?", f"{word} 다음이에요.") for n, word in enumerate(numbers)]
    feedback = [mark(f"t{n}", "up") for n in range(4)] + [mark("t3", "down", "player-2")]
    capped = examined(spark, turns=turns, feedback=feedback, rules=rules_with(rows_per_player=2, seed_share=0))
    assert sorted(str(row["reason"]) for row in capped.collect()) == ["None", "None", "disliked", "player_cap"]

    seeds = [(f"{word} 씨앗?", f"{word} 씨앗이에요.") for word in numbers]
    shared = examined(
        spark, seeds=seeds, turns=turns, feedback=feedback, rules=rules_with(seed_share=0.5, new_pair_weight=4)
    )
    taught = [str(row["reason"]) for row in shared.collect() if row["source"] == "praised"]
    assert sorted(taught) == ["None", "disliked", "seed_share", "seed_share"]


def test_the_content_hash_is_that_of_the_sorted_row_hashes(spark: Any) -> None:
    """Spark's hash equals the one computed here, and a different order of rows has the same hash."""
    from spark_jobs.transforms import place_rows, summarise

    seeds = [(f"질문 {word}?", f"대답 {word}예요.") for word in ("하나", "둘", "셋", "넷", "다섯", "여섯")]
    hashes = set()
    for order in (seeds, seeds[::-1]):
        dataset = place_rows(examined(spark, seeds=order), FREE)
        rows = dataset.collect()
        (summary,) = summarise(dataset).collect()
        row_hashes = sorted(row["row_hash"] for row in rows)
        assert summary["content_hash"] == hashlib.sha256("\n".join(row_hashes).encode()).hexdigest()
        assert {row["split"] for row in rows} == {"train", "val", "test"}
        hashes.add(summary["content_hash"])
    assert len(hashes) == 1


def test_faults_of_a_dataset_are_named(spark: Any) -> None:
    """A dataset with an empty text or an empty split has a fault for each."""
    from spark_jobs.transforms import place_rows
    from spark_jobs.validation import faults, find_faults

    seeds = [(f"질문 {word}?", f"대답 {word}예요.") for word in ("하나", "둘", "셋", "넷", "다섯", "여섯")]
    dataset = place_rows(examined(spark, seeds=seeds), FREE)
    assert find_faults(dataset).collect() == []
    broken = dataset.where("split = 'train'").withColumn("answer", dataset["answer"].substr(0, 0)).toArrow()
    found = " / ".join(faults(broken))
    assert "answer: empty text" in found
    assert "train, val or test is empty" in found


def test_a_column_that_an_earlier_release_did_not_have_is_null(spark):
    """An unknown column of a later release is dropped, so the job can read the lake of another release."""
    from spark_jobs import build_dataset, schemas

    frame = spark.createDataFrame([("t", "new")], "turn_id string, channel string")
    (found,) = build_dataset._fit(frame, schemas.TURNS).collect()
    assert found.asDict() == dict.fromkeys(schemas.TURNS.names) | {"turn_id": "t"}


def test_feedback_belongs_to_the_turn_that_its_player_saw(spark):
    """A recreated question topic repeats turn ids; old praise does not count for the answer of a later turn."""
    from spark_jobs.turn_ids import separate_repeated_ids

    def at(hour: int) -> datetime:
        return datetime(2026, 11, 24, hour, tzinfo=UTC)

    turns = spark.createDataFrame(
        [("t", "old", at(1)), ("t", "new", at(5)), ("u", "one", at(9))],
        "turn_id string, answer string, answered_at timestamp",
    )
    feedback = spark.createDataFrame(
        [
            ("t", "before", at(0)),
            ("t", "first", at(2)),
            ("t", "second", at(6)),
            ("u", "early", at(8)),
            ("x", "lost", at(8)),
        ],
        "turn_id string, kind string, received_at timestamp",
    )
    found, marks = separate_repeated_ids(turns, feedback)
    assert {(row["turn_id"], row["answer"]) for row in found.collect()} == {("t", "old"), ("t~2", "new"), ("u", "one")}
    assert sorted((row["turn_id"], row["kind"]) for row in marks.collect()) == [
        ("t", "first"),
        ("t~2", "second"),
        ("u", "early"),
        ("x", "lost"),
    ]
    assert found.columns == turns.columns
    assert marks.columns == feedback.columns
