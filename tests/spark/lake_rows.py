"""Builders for rows of the lake, and the dataset's rules applied to them with Spark."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from kogpt2_chat.domain.learning.dataset import Rules
from tests.dataset_rules import rules_with

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=3)
FREE = rules_with(min_age_hours=24, auto_review=True, seed_share=0, new_pair_weight=4, assumed_consent=True)
_OFFSETS = count(1)


def turn(turn_id: str, text: str, answer: str, **other: Any) -> dict[str, Any]:
    return {
        "turn_id": turn_id,
        "bot": "ChatbotA",
        "player_id": "player-1",
        "text": text,
        "answer": answer,
        "fallback": None,
        "answered_at": OLD,
        "consent_train": True,
        "minor": None,
        "extra": "{}",
    } | other


def mark(turn_id: str, kind: str, player: str = "player-1", text: str | None = None, **other: Any) -> dict[str, Any]:
    return {
        "turn_id": turn_id,
        "player_id": player,
        "kind": kind,
        "text": text,
        "received_at": OLD,
        "kafka_partition": 0,
        "kafka_offset": next(_OFFSETS),
        "extra": "{}",
    } | other


def entry(kind: str, subject: str, action: str = "distrust", at: datetime = OLD) -> dict[str, Any]:
    return {"kind": kind, "subject": subject, "action": action, "at": at, "entry_id": f"{next(_OFFSETS):06}"}


def examined(
    spark: Any,
    *,
    seeds: Sequence[tuple[str, str]] = (),
    gold: Sequence[str] = (),
    turns: Sequence[Mapping[str, Any]] = (),
    feedback: Sequence[Mapping[str, Any]] = (),
    distrust: Sequence[Mapping[str, Any]] = (),
    rules: Rules = FREE,
    tokens: Any = None,
) -> Any:
    """Return every proposal of ChatbotA with its reason."""
    from spark_jobs import schemas
    from spark_jobs.build_dataset import examine
    from spark_jobs.proposals import Sources

    def frame(rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
        return spark.createDataFrame([tuple(row[name] for name in schema.names) for row in rows], schema)

    sources = Sources(
        seeds=spark.createDataFrame([("ChatbotA", *pair, "인사") for pair in seeds], schemas.SEEDS),
        gold=spark.createDataFrame([("ChatbotA", key) for key in gold], schemas.GOLD),
        turns=frame(turns, schemas.TURNS),
        feedback=frame(feedback, schemas.FEEDBACK),
        distrust=frame(distrust, schemas.DISTRUST),
    )
    return examine(sources, ["ChatbotA"], rules, NOW, tokens)


def reasons(frame: Any) -> dict[tuple[str, str], str | None]:
    """Return the reasons by source and answer."""
    return {(row["source"], row["answer"]): row["reason"] for row in frame.collect()}


def kept(frame: Any) -> dict[str, set[str]]:
    """Return the answers by question of the rows that are kept."""
    found: dict[str, set[str]] = {}
    for row in frame.where("reason is null").collect():
        found.setdefault(row["question"], set()).add(row["answer"])
    return found
