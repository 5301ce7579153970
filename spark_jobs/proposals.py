"""Collect the proposals (question-answer pairs that may become training examples) from seeds, turns and feedback.

All functions map DataFrames to DataFrames. Players are always compared by their key, so that two spellings of a name
count as one player.
"""

# ruff: noqa: TID253 - imported only by Spark's processes

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql.types import StringType

from kogpt2_chat.domain.chat.players import player_key
from kogpt2_chat.domain.chat.turns import CONSENT_KEY, MINOR_KEY
from kogpt2_chat.domain.learning.dataset import Rules

TAUGHT_TOPIC: Final = "taught"
_NEGATIVE_MARKS: Final = ("down", "report")
_DISLIKES: Final = (*_NEGATIVE_MARKS, "correction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The inputs of a dataset.

    Attributes:
        seeds: seed pairs.
        gold: keys of the frozen gold sets.
        turns: the lake's turns of all bots.
        feedback: the lake's feedback.
        distrust: operators' entries about distrusted players and turns.
    """

    seeds: DataFrame
    gold: DataFrame
    turns: DataFrame
    feedback: DataFrame
    distrust: DataFrame


def find_proposals(sources: Sources, bots: Sequence[str], rules: Rules) -> DataFrame:
    """Return every pair that could be learned, regardless of whether the rules allow it.

    Args:
        sources: seed pairs and the lake's tables.
        bots: bots to build datasets for.
        rules: supplies the consent that is assumed for authors who stated none.

    Returns:
        Columns of ``schemas.PROPOSALS``.
    """
    entries = distrusted_subjects(sources.distrust)
    # Repeated turn ids have a suffix after a tilde (see turn_ids.py); distrust of an id applies to all of them.
    by_id = without_consent_of_minors(_by_key(sources.turns)).withColumn(
        "given_id", F.substring_index("turn_id", "~", 1)
    )
    turns = _mark_distrusted(by_id, entries, "turn", "given_id")
    last = _mark_distrusted(last_feedback(_by_key(sources.feedback)), entries, "player", "player_id")
    own = turns.where(F.col("bot").isin(*bots))
    return (
        seed_proposals(sources.seeds)
        .unionByName(turn_proposals(_mark_distrusted(own, entries, "player", "player_id"), last))
        .unionByName(correction_proposals(own, last, latest_consent(turns), rules))
    )


def distrusted_subjects(distrust: DataFrame) -> DataFrame:
    """Return ``kind`` and ``subject`` of the players (by key) and turns whose last entry distrusts them."""
    subject = F.when(F.col("kind") == "player", _key(F.col("subject"))).otherwise(F.col("subject"))
    newest = F.max_by("action", F.struct("at", "entry_id")).alias("action")
    entries = distrust.withColumn("subject", subject).groupBy("kind", "subject").agg(newest)
    return entries.where("action = 'distrust'").select("kind", "subject")


def last_feedback(feedback: DataFrame) -> DataFrame:
    """Return the last feedback of each player on each turn, ordered by the broker's clock and then by position.

    If a player repeats the same feedback, ``received_at`` is the time of the first of these records, so that a
    repetition does not restart the minimum age. ``consent`` is the consent in the record, null if there is none and
    false for a minor. ``is_minor`` says whether the player is one.

    Praise and corrections without a player id are ignored, because they have no author who could agree, consent or be
    distrusted. Negative marks without a player id count.
    """
    attributed = feedback.where((F.col("player_id") != "") | F.col("kind").isin(*_NEGATIVE_MARKS))
    one = Window.partitionBy("player_id", "turn_id")
    order = one.orderBy("received_at", "kafka_partition", "kafka_offset")
    # Clients may send anything here: a value other than `true` counts as a refusal; a missing one is null.
    stated = F.get_json_object("extra", f"$.{CONSENT_KEY}") == "true"
    consent = F.when(_says_minor("extra"), F.lit(False)).otherwise(stated)
    content = F.struct("kind", F.when(F.col("kind") == "correction", F.struct("text", "consent")).alias("better"))
    is_change = ~F.lag(content).over(order).eqNullSafe(content)
    marked = attributed.withColumns({"consent": consent, "is_minor": _says_minor("extra")}).withColumns(
        {"changed_at": F.when(is_change, F.col("received_at")), "is_last": F.lead("turn_id").over(order).isNull()}
    )
    since = marked.withColumn("received_at", F.max("changed_at").over(one))
    return since.where("is_last").drop("changed_at", "is_last")


def without_consent_of_minors(turns: DataFrame) -> DataFrame:
    """Set ``consent_train`` to false in the turns of minors. A null in ``minor`` is false.

    A worker and an ingest of an earlier release leave the field in ``extra``.
    """
    is_minor = F.coalesce("minor", F.lit(False)) | _says_minor("extra")
    return turns.withColumn("consent_train", F.col("consent_train") & ~is_minor)


def _says_minor(extra: str) -> Column:
    """Return a condition with the rule of :func:`~kogpt2_chat.domain.chat.players.says_minor`, for a column of JSON."""
    return F.coalesce(F.get_json_object(extra, f"$.{MINOR_KEY}"), F.lit("false")) != "false"


def latest_consent(turns: DataFrame) -> DataFrame:
    """Return the training consent of each player's newest turn, for authors whose feedback states none."""
    newest = F.max_by("consent_train", F.struct("answered_at", "turn_id"))
    return turns.groupBy("player_id").agg(newest.alias("last_consent")).withColumnRenamed("player_id", "teacher")


def seed_proposals(seeds: DataFrame) -> DataFrame:
    """Return the seed pairs as proposals."""
    return seeds.select(
        "bot",
        "question",
        "answer",
        F.lit("seed").alias("source"),
        F.coalesce("topic", F.lit("")).alias("topic"),
        F.lit("").alias("turn_id"),
        F.lit("").alias("player_id"),
        F.lit(datetime(1970, 1, 1, tzinfo=UTC)).alias("marked_at"),
        F.lit(True).alias("consent_train"),
        F.lit(None).cast("string").alias("fallback"),
        F.lit(0).cast("long").alias("likes"),
        F.lit(0).cast("long").alias("dislikes"),
        F.array().cast("array<string>").alias("praisers"),
        F.lit(False).alias("distrusted"),
    )


def turn_proposals(turns: DataFrame, last: DataFrame) -> DataFrame:
    """Return every turn as a proposal with its feedback.

    Feedback of distrusted players does not count, nor does praise by minors; their complaints do.
    """
    praises = (F.col("kind") == "up") & ~F.col("distrusted") & ~F.col("is_minor")
    marks = last.groupBy("turn_id").agg(
        F.count_if(praises).alias("likes"),
        F.count_if(F.col("kind").isin(*_DISLIKES) & ~F.col("distrusted")).alias("dislikes"),
        F.sort_array(F.collect_set(F.when(praises, F.col("player_id")))).alias("praisers"),
        F.min(F.when(praises, F.col("received_at"))).alias("praised_at"),
    )
    return turns.join(marks, "turn_id", "left").select(
        "bot",
        F.col("text").alias("question"),
        "answer",
        F.lit("praised").alias("source"),
        F.lit(TAUGHT_TOPIC).alias("topic"),
        "turn_id",
        "player_id",
        F.greatest("answered_at", "praised_at").alias("marked_at"),
        "consent_train",
        "fallback",
        F.coalesce("likes", F.lit(0)).alias("likes"),
        F.coalesce("dislikes", F.lit(0)).alias("dislikes"),
        F.coalesce("praisers", F.array().cast("array<string>")).alias("praisers"),
        "distrusted",
    )


def correction_proposals(turns: DataFrame, last: DataFrame, consents: DataFrame, rules: Rules) -> DataFrame:
    """Return every correction that is its player's last feedback on the turn, with the turn's question.

    Both the player who asked the question and the author of the correction have to consent. The author's consent is the
    first of these that exists: the one in the correction, the turn's if the author asked the question, the one of the
    author's newest turn, and the one that the rules assume.
    """
    corrections = last.where("kind = 'correction'").select(
        "turn_id",
        "received_at",
        F.col("player_id").alias("teacher"),
        F.col("text").alias("better"),
        "consent",
        F.col("distrusted").alias("teacher_distrusted"),
    )
    own_turn = F.when(F.col("teacher") == F.col("player_id"), F.col("consent_train"))
    author = F.coalesce("consent", own_turn, "last_consent", F.lit(rules.assumed_consent))
    return (
        turns.join(corrections, "turn_id")
        .join(consents, "teacher", "left")
        .select(
            "bot",
            F.col("text").alias("question"),
            F.col("better").alias("answer"),
            F.lit("correction").alias("source"),
            F.lit(TAUGHT_TOPIC).alias("topic"),
            "turn_id",
            F.col("teacher").alias("player_id"),
            F.greatest("answered_at", "received_at").alias("marked_at"),
            (F.col("consent_train") & author).alias("consent_train"),
            "fallback",
            F.lit(0).cast("long").alias("likes"),
            F.lit(0).cast("long").alias("dislikes"),
            F.array().cast("array<string>").alias("praisers"),
            (F.col("distrusted") | F.col("teacher_distrusted")).alias("distrusted"),
        )
    )


# A type given by name would need a session, which does not exist while modules are imported.
_key = F.udf(lambda player: player_key(player or ""), StringType())


def _by_key(frame: DataFrame) -> DataFrame:
    return frame.withColumn("player_id", _key(F.col("player_id")))


def _mark_distrusted(frame: DataFrame, entries: DataFrame, kind: str, column: str) -> DataFrame:
    """Set ``distrusted`` to true in rows whose column names a distrusted player or turn."""
    subjects = entries.where(F.col("kind") == kind).select(
        F.col("subject").alias(column), F.lit(True).alias("is_listed")
    )
    before = F.col("distrusted") if "distrusted" in frame.columns else F.lit(False)
    found = frame.join(F.broadcast(subjects), column, "left")
    return found.withColumn("distrusted", before | F.coalesce("is_listed", F.lit(False))).drop("is_listed")
