"""DataFrame -> DataFrame: which of the rows that may be learned from are learned.

A row that is left out is never dropped on the way: it gets a ``reason``, the first rule that speaks wins, and rules
that count or compare rows see only those that are still without one. The order of the rules is what keeps a bot's
persona: a row makes way for another one only when nothing can take that other one away any more.
"""

# ruff: noqa: TID253 - imported by Spark's own processes only

import math
from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from kogpt2_chat.domain.learning.dataset import AGREEING_PLAYERS, SOURCES, Rules, needs_review, taught_per_seed
from spark_jobs import schemas


def select(examined: DataFrame, gold: DataFrame, rules: Rules) -> DataFrame:
    """Give a reason to every row that makes way: review, gold, duplicates, caps, and last the losers of a question.

    Args:
        examined: rows with the reasons that they have by themselves.
        gold: keys of the gold sets.
        rules: the numbers.

    Returns:
        Columns of ``schemas.EXAMINED``.
    """
    reviewed = mark_gold(mark_unreviewed(examined, rules), gold)
    capped = cap_taught(mark_duplicates(reviewed), rules)
    return mark_superseded(capped).select(schemas.EXAMINED.names)


def mark_unreviewed(examined: DataFrame, rules: Rules) -> DataFrame:
    """A correction waits for review, or for a second player whose own correction may be learned from."""
    enough = next(players for players in range(AGREEING_PLAYERS + 1) if not needs_review(players, rules))
    agreeing = F.size(F.collect_set("player_id").over(_kept_by("bot", "source", "question_key", "answer_key")))
    return _mark(examined, "needs_review", lambda: (F.col("source") == "correction") & (agreeing < enough))


def mark_gold(examined: DataFrame, gold: DataFrame) -> DataFrame:
    """Rows that share a question or an answer with the frozen gold set would teach the test."""
    keys = F.broadcast(gold.select("bot", "key").distinct())
    by_question = keys.select("bot", F.col("key").alias("question_key"), F.lit(True).alias("asked"))
    by_answer = keys.select("bot", F.col("key").alias("answer_key"), F.lit(True).alias("answered"))
    joined = examined.join(by_question, ["bot", "question_key"], "left").join(by_answer, ["bot", "answer_key"], "left")
    return _mark(joined, "gold", lambda: F.col("asked") | F.col("answered")).drop("asked", "answered")


def mark_duplicates(examined: DataFrame) -> DataFrame:
    """Of rows with the same question and answer one stays: seed before correction before praise, then the newest.

    Seeds are told apart by their words at last, so that their order in the file does not matter. The row that stays
    carries the time at which a correction last said so (``affirmed_at``).
    """
    same = _kept_by("bot", "question_key", "answer_key")
    preference = F.array_position(F.lit(list(SOURCES)), F.col("source"))
    first = same.orderBy(preference, F.desc("marked_at"), "turn_id", "player_id", "question", "answer", "topic")
    affirmed = F.max(F.when(F.col("source") == "correction", F.col("marked_at"))).over(same)
    return _mark(examined.withColumn("affirmed_at", affirmed), "duplicate", lambda: F.row_number().over(first) > 1)


def cap_taught(affirmed: DataFrame, rules: Rules) -> DataFrame:
    """Caps of taught rows: a player's, a praiser's, a phrase's, and the share that is left beside the seeds.

    The newest stay. A row whose question has a better claimant counts after all others: what is about to be
    superseded crowds nobody out.
    """
    rows = affirmed.withColumn("outdone", _outdone())
    taught = F.col("source") != "seed"

    def rank(*columns: str | Column) -> Column:
        newest = _kept_by("bot", taught, *columns).orderBy("outdone", F.desc("marked_at"), "turn_id", "player_id")
        return F.row_number().over(newest)

    capped = _mark(rows, "player_cap", lambda: taught & (rank("player_id") > rules.rows_per_player))
    capped = _cap_praise(capped, rules)
    capped = _mark(capped, "phrase_cap", lambda: taught & (rank("answer_key") > rules.rows_per_phrase))
    per_seed = taught_per_seed(rules)
    if math.isinf(per_seed):
        return capped
    seeds = F.count_if(~taught & ~F.col("outdone")).over(_kept_by("bot"))
    return _mark(capped, "seed_share", lambda: taught & (rank() > F.floor(seeds * per_seed)))


def mark_superseded(capped: DataFrame) -> DataFrame:
    """A question has one answer, its newest word: two answers to one question teach neither.

    The newest correction, or the seed answer that a correction says again; else the seed's; else the answer that
    most players praised. Only rows that are kept are compared, so none goes without one that takes its place.
    """
    return _mark(capped, "superseded", _outdone)


def _outdone() -> Column:
    """Whether another kept row of the same question has the better claim. Seeds stand side by side."""
    is_seed, praised = F.col("source") == "seed", F.col("source") == "praised"
    # A correction has always been affirmed by itself.
    authority = F.when(F.col("affirmed_at").isNotNull(), 2).when(is_seed, 1).otherwise(0)
    claim = F.struct(
        authority.alias("authority"),
        F.when(praised, F.col("likes")).otherwise(0).alias("likes"),
        F.coalesce("affirmed_at", "marked_at").alias("at"),
        is_seed.cast("int").alias("is_seed"),
        "turn_id",
        "player_id",
        "answer_key",
    )
    best = F.max(claim).over(_kept_by("bot", "question_key"))
    return (claim != best) & ~(is_seed & (best["is_seed"] == 1))


def _cap_praise(rows: DataFrame, rules: Rules) -> DataFrame:
    """A praised answer counts for each player who praised it, and stays while one of them is below the cap."""
    praise = rows.where("reason is null and source = 'praised'").select(
        "bot", "turn_id", "outdone", "marked_at", F.explode("praisers").alias("praiser")
    )
    newest = Window.partitionBy("bot", "praiser").orderBy("outdone", F.desc("marked_at"), "turn_id")
    ranks = praise.withColumn("rank", F.row_number().over(newest)).groupBy("bot", "turn_id")
    joined = rows.join(ranks.agg(F.min("rank").alias("praise_rank")), ["bot", "turn_id"], "left")
    over = (F.col("source") == "praised") & (F.col("praise_rank") > rules.rows_per_player)
    return _mark(joined, "praiser_cap", lambda: over).drop("praise_rank")


def _kept_by(*columns: str | Column) -> WindowSpec:
    """Groups in which rows that already have a reason are apart."""
    return Window.partitionBy(*columns, F.col("reason").isNull())


def _mark(frame: DataFrame, reason: str, condition: Callable[[], Column]) -> DataFrame:
    """Give a reason to rows that have none and meet the condition."""
    hit = F.col("reason").isNull() & condition()
    return frame.withColumn("reason", F.when(hit, F.lit(reason)).otherwise(F.col("reason")))
