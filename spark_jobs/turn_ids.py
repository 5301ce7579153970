"""Separate turns with the same id, which exist after the question topic was recreated, and assign feedback to them."""

# ruff: noqa: TID253 - imported only by Spark's processes

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the usual name


def separate_repeated_ids(turns: DataFrame, feedback: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Make repeated turn ids unique, and assign feedback to the last turn that was answered before it.

    Otherwise old praise would count for a new answer. Feedback on an id with a single turn is always kept, even if its
    timestamp is earlier than the turn's.

    Args:
        turns: frame with the columns of ``schemas.TURNS``.
        feedback: frame with the columns of ``schemas.FEEDBACK``.

    Returns:
        Both frames with their original columns. Feedback that is older than all turns of a repeated id is dropped.
    """
    same = Window.partitionBy("turn_id")
    numbered = turns.withColumns(
        {"nth": F.row_number().over(same.orderBy("answered_at")), "of": F.count("*").over(same)}
    )
    repeated = numbered.where("of > 1").select("turn_id", "nth", F.col("answered_at").alias("since"))
    about = feedback.join(F.broadcast(repeated), "turn_id", "left").where("nth is null or since <= received_at")
    newest = about.groupBy(*feedback.columns).agg(F.max("nth").alias("nth"))
    return _renamed(numbered, turns.columns), _renamed(newest, feedback.columns)


def _renamed(frame: DataFrame, columns: list[str]) -> DataFrame:
    later = F.when(F.col("nth") > 1, F.concat_ws("~", "turn_id", "nth")).otherwise(F.col("turn_id"))
    chosen: list[Column] = [later.alias("turn_id") if name == "turn_id" else F.col(name) for name in columns]
    return frame.select(chosen)
