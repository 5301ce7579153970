"""DataFrame -> DataFrame: what seeds, turns and feedback offer, with the circumstances that the rules look at.

Players are compared by their key everywhere: one person under two spellings of a name is one person.
"""

# ruff: noqa: TID253 - imported by Spark's own processes only

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows
from pyspark.sql.types import StringType

from kogpt2_chat.domain.chat.players import player_key
from kogpt2_chat.domain.chat.turns import CONSENT_KEY
from kogpt2_chat.domain.learning.dataset import Rules

TAUGHT_TOPIC: Final = "taught"
_MARKS_AGAINST: Final = ("down", "report")
_AGAINST: Final = (*_MARKS_AGAINST, "correction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that a dataset is made from.

    Attributes:
        seeds: seed pairs.
        gold: keys of the frozen gold sets.
        turns: the lake's turns, of all bots.
        feedback: the lake's feedback.
        distrust: what persons said about players and turns.
    """

    seeds: DataFrame
    gold: DataFrame
    turns: DataFrame
    feedback: DataFrame
    distrust: DataFrame


def find_candidates(sources: Sources, bots: Sequence[str], rules: Rules) -> DataFrame:
    """Everything that could be learned, whether or not it may be.

    Args:
        sources: seeds and the lake's tables.
        bots: whose datasets are made.
        rules: whose consent is assumed.

    Returns:
        Columns of ``schemas.CANDIDATES``.
    """
    struck = struck_out(sources.distrust)
    # Turns that share an id are told apart by what stands behind a tilde: all of them are struck out.
    by_id = _by_key(sources.turns).withColumn("given_id", F.substring_index("turn_id", "~", 1))
    turns = _mark_struck(by_id, struck, "turn", "given_id")
    last = _mark_struck(last_feedback(_by_key(sources.feedback)), struck, "player", "player_id")
    own = turns.where(F.col("bot").isin(*bots))
    return (
        seed_candidates(sources.seeds)
        .unionByName(turn_candidates(_mark_struck(own, struck, "player", "player_id"), last))
        .unionByName(correction_candidates(own, last, said_on_training(turns), rules))
    )


def struck_out(distrust: DataFrame) -> DataFrame:
    """Players (by their key) and turns whose last entry strikes them out: ``kind`` and ``subject``."""
    subject = F.when(F.col("kind") == "player", _key(F.col("subject"))).otherwise(F.col("subject"))
    newest = F.max_by("action", F.struct("at", "entry_id")).alias("action")
    entries = distrust.withColumn("subject", subject).groupBy("kind", "subject").agg(newest)
    return entries.where("action = 'distrust'").select("kind", "subject")


def last_feedback(feedback: DataFrame) -> DataFrame:
    """The last word of each player on each turn, by the broker's clock and then by position.

    It is as old as its first saying since which they said nothing else: saying it again is no news, or each repetition
    would send a lesson back into quarantine. ``consent`` is what it says of its text's use, null where it says nothing.

    A name that is missing is nobody's: what it praises or teaches has no author who could agree, consent or be struck
    out. It may speak against an answer.
    """
    heard = feedback.where((F.col("player_id") != "") | F.col("kind").isin(*_MARKS_AGAINST))
    one = Window.partitionBy("player_id", "turn_id")
    order = one.orderBy("received_at", "kafka_partition", "kafka_offset")
    # What is neither `true` nor absent is no consent: a client may put anything there.
    consent = F.get_json_object("extra", f"$.{CONSENT_KEY}") == "true"
    word = F.struct("kind", F.when(F.col("kind") == "correction", F.struct("text", "consent")).alias("better"))
    is_newer = ~F.lag(word).over(order).eqNullSafe(word)
    said = heard.withColumn("consent", consent).withColumns(
        {"news_at": F.when(is_newer, F.col("received_at")), "is_last": F.lead("turn_id").over(order).isNull()}
    )
    since = said.withColumn("received_at", F.max("news_at").over(one))
    return since.where("is_last").drop("news_at", "is_last")


def said_on_training(turns: DataFrame) -> DataFrame:
    """Whether each player's newest turn may be trained on: what is known of one whose feedback does not say."""
    newest = F.max_by("consent_train", F.struct("answered_at", "turn_id"))
    return turns.groupBy("player_id").agg(newest.alias("said")).withColumnRenamed("player_id", "teacher")


def seed_candidates(seeds: DataFrame) -> DataFrame:
    """Seed pairs in the shape of candidates."""
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


def turn_candidates(turns: DataFrame, last: DataFrame) -> DataFrame:
    """Every turn, with what players think of its answer; those who are struck out have no say."""
    praises = (F.col("kind") == "up") & ~F.col("distrusted")
    marks = last.groupBy("turn_id").agg(
        F.count_if(praises).alias("likes"),
        F.count_if(F.col("kind").isin(*_AGAINST) & ~F.col("distrusted")).alias("dislikes"),
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


def correction_candidates(turns: DataFrame, last: DataFrame, said: DataFrame, rules: Rules) -> DataFrame:
    """Every correction that is its player's last word, with the question of its turn.

    Asker and author both have to consent. The author's word is the correction's own; else, on a turn that they asked
    themselves, that turn's; else that of their newest turn; else what the rules assume.
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
    author = F.coalesce("consent", own_turn, "said", F.lit(rules.assumed_consent))
    return (
        turns.join(corrections, "turn_id")
        .join(said, "teacher", "left")
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


# A type by name would need a session, and none is there while modules are imported.
_key = F.udf(lambda player: player_key(player or ""), StringType())


def _by_key(frame: DataFrame) -> DataFrame:
    return frame.withColumn("player_id", _key(F.col("player_id")))


def _mark_struck(frame: DataFrame, struck: DataFrame, kind: str, column: str) -> DataFrame:
    """``distrusted`` becomes true where the column names somebody or something that is struck out."""
    subjects = struck.where(F.col("kind") == kind).select(F.col("subject").alias(column), F.lit(True).alias("struck"))
    before = F.col("distrusted") if "distrusted" in frame.columns else F.lit(False)
    found = frame.join(F.broadcast(subjects), column, "left")
    return found.withColumn("distrusted", before | F.coalesce("struck", F.lit(False))).drop("struck")
