"""Apply the rules that compare rows: select which eligible rows are learned.

All functions map DataFrames to DataFrames. A rejected row is not dropped but gets a ``reason``; the first rule that
applies wins, and rules that count or compare rows consider only rows without a reason. The order of the rules protects
a bot's persona: a row is displaced by another one only after no later rule can reject that other row.
"""

# ruff: noqa: TID253 - imported only by Spark's processes

import math
from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F  # noqa: N812 - the usual name

from kogpt2_chat.domain.learning.dataset import AGREEING_PLAYERS, SOURCES, Rules, needs_review, taught_per_seed
from spark_jobs import schemas


def select(examined: DataFrame, gold: DataFrame, rules: Rules) -> DataFrame:
    """Set the reason of rejected rows, in this order: review, gold, duplicates, caps, superseded answers.

    Args:
        examined: rows with the reasons of the rules for single rows.
        gold: keys of the gold sets.
        rules: the parameters of the rules.

    Returns:
        Columns of ``schemas.EXAMINED``.
    """
    reviewed = mark_gold(mark_unreviewed(examined, rules), gold)
    capped = cap_taught(mark_duplicates(reviewed), rules)
    return mark_superseded(capped).select(schemas.EXAMINED.names)


def mark_unreviewed(examined: DataFrame, rules: Rules) -> DataFrame:
    """Reject corrections that need a review or a second player with the same, eligible correction."""
    enough = next(players for players in range(AGREEING_PLAYERS + 1) if not needs_review(players, rules))
    agreeing = F.size(F.collect_set("player_id").over(_kept_by("bot", "source", "question_key", "answer_key")))
    return _mark(examined, "needs_review", lambda: (F.col("source") == "correction") & (agreeing < enough))


def mark_gold(examined: DataFrame, gold: DataFrame) -> DataFrame:
    """Reject rows that share a question or an answer with the gold set: they would leak the evaluation data."""
    keys = F.broadcast(gold.select("bot", "key").distinct())
    by_question = keys.select("bot", F.col("key").alias("question_key"), F.lit(True).alias("asked"))
    by_answer = keys.select("bot", F.col("key").alias("answer_key"), F.lit(True).alias("answered"))
    joined = examined.join(by_question, ["bot", "question_key"], "left").join(by_answer, ["bot", "answer_key"], "left")
    return _mark(joined, "gold", lambda: F.col("asked") | F.col("answered")).drop("asked", "answered")


def mark_duplicates(examined: DataFrame) -> DataFrame:
    """Keep one of the rows with the same question and answer: seed before correction before praise, then the newest.

    Ties between seeds are broken by their texts, so that their order in the file does not matter. ``affirmed_at`` is
    the time of the newest correction with this question and answer.
    """
    same = _kept_by("bot", "question_key", "answer_key")
    preference = F.array_position(F.lit(list(SOURCES)), F.col("source"))
    first = same.orderBy(preference, F.desc("marked_at"), "turn_id", "player_id", "question", "answer", "topic")
    affirmed = F.max(F.when(F.col("source") == "correction", F.col("marked_at"))).over(same)
    return _mark(examined.withColumn("affirmed_at", affirmed), "duplicate", lambda: F.row_number().over(first) > 1)


def cap_taught(affirmed: DataFrame, rules: Rules) -> DataFrame:
    """Cap the taught rows per player, per praising player, per phrase, and by the minimum share of seeds.

    The newest rows stay. Rows that another row of their question outranks count last, so that a row which is about to
    be superseded does not displace others.
    """
    rows = affirmed.withColumn("outranked", _outranked())
    taught = F.col("source") != "seed"

    def rank(*columns: str | Column) -> Column:
        newest = _kept_by("bot", taught, *columns).orderBy("outranked", F.desc("marked_at"), "turn_id", "player_id")
        return F.row_number().over(newest)

    capped = _mark(rows, "player_cap", lambda: taught & (rank("player_id") > rules.rows_per_player))
    capped = _cap_praise(capped, rules)
    capped = _mark(capped, "phrase_cap", lambda: taught & (rank("answer_key") > rules.rows_per_phrase))
    per_seed = taught_per_seed(rules)
    if math.isinf(per_seed):
        return capped
    seeds = F.count_if(~taught & ~F.col("outranked")).over(_kept_by("bot"))
    return _mark(capped, "seed_share", lambda: taught & (rank() > F.floor(seeds * per_seed)))


def mark_superseded(capped: DataFrame) -> DataFrame:
    """Keep one answer per question, because a model learns neither of two contradicting answers.

    The answer that the newest correction affirms wins (even if it is the seed's answer), else the seed's, else the most
    praised one. Only kept rows are compared, so a question never loses all its answers.
    """
    return _mark(capped, "superseded", _outranked)


def _outranked() -> Column:
    """Return a condition: another kept row of the same question has a higher rank. Seeds do not outrank each other."""
    is_seed, praised = F.col("source") == "seed", F.col("source") == "praised"
    # A correction always affirms itself.
    authority = F.when(F.col("affirmed_at").isNotNull(), 2).when(is_seed, 1).otherwise(0)
    rank = F.struct(
        authority.alias("authority"),
        F.when(praised, F.col("likes")).otherwise(0).alias("likes"),
        F.coalesce("affirmed_at", "marked_at").alias("at"),
        is_seed.cast("int").alias("is_seed"),
        "turn_id",
        "player_id",
        "answer_key",
    )
    best = F.max(rank).over(_kept_by("bot", "question_key"))
    return (rank != best) & ~(is_seed & (best["is_seed"] == 1))


def _cap_praise(rows: DataFrame, rules: Rules) -> DataFrame:
    """Cap praised answers per praising player; an answer stays if at least one of its praisers is below the cap."""
    praise = rows.where("reason is null and source = 'praised'").select(
        "bot", "turn_id", "outranked", "marked_at", F.explode("praisers").alias("praiser")
    )
    newest = Window.partitionBy("bot", "praiser").orderBy("outranked", F.desc("marked_at"), "turn_id")
    ranks = praise.withColumn("rank", F.row_number().over(newest)).groupBy("bot", "turn_id")
    joined = rows.join(ranks.agg(F.min("rank").alias("praise_rank")), ["bot", "turn_id"], "left")
    over = (F.col("source") == "praised") & (F.col("praise_rank") > rules.rows_per_player)
    return _mark(joined, "praiser_cap", lambda: over).drop("praise_rank")


def _kept_by(*columns: str | Column) -> WindowSpec:
    """Return a window in which rows with a reason and rows without one are in separate partitions."""
    return Window.partitionBy(*columns, F.col("reason").isNull())


def _mark(frame: DataFrame, reason: str, condition: Callable[[], Column]) -> DataFrame:
    """Set the reason of rows that have none and meet the condition."""
    hit = F.col("reason").isNull() & condition()
    return frame.withColumn("reason", F.when(hit, F.lit(reason)).otherwise(F.col("reason")))
