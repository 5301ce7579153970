"""Turns that share an id, since the topic of questions was made anew: which of them a player's feedback is about."""

# ruff: noqa: TID253 - imported by Spark's own processes only

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows


def tell_apart(turns: DataFrame, feedback: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Give later turns of an id an id of their own, and feedback that of the last turn answered before it.

    Old praise would meet a new answer otherwise. Ids that stand for one turn stay, whatever the clocks say.

    Args:
        turns: with the columns of ``schemas.TURNS``.
        feedback: with the columns of ``schemas.FEEDBACK``.

    Returns:
        Both, with the columns that they had; feedback from before all turns of its id is left out.
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
