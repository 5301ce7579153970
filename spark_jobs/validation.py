"""Validate a dataset before it is published. Faults block only the bot they belong to."""

# ruff: noqa: TID253 - imported only by Spark's processes

from typing import Any, Final

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema

from kogpt2_chat.domain.learning.cleaning import MAX_TAUGHT_ANSWER_CHARS, MAX_TAUGHT_QUESTION_CHARS
from kogpt2_chat.domain.learning.dataset import SOURCES, SPLITS
from spark_jobs import schemas

_LARGEST_ANSWER_SHARE: Final = 0.2
_LARGEST_PLAYER_SHARE: Final = 0.5
_SHARES_FROM_ROWS: Final = 50


def find_faults(dataset: DataFrame) -> DataFrame:
    """Return the faults of each bot's dataset, one row per fault."""
    return dataset.groupBy("bot").applyInArrow(_faults_of, schemas.FAULTS)


def _faults_of(table: pa.Table) -> pa.Table:
    rows = [{"bot": table["bot"][0].as_py(), "fault": fault} for fault in faults(table)]
    return pa.Table.from_pylist(rows, schema=to_arrow_schema(schemas.FAULTS))


def faults(table: pa.Table) -> list[str]:
    """Return what is wrong with the dataset of one bot.

    Args:
        table: all rows of the dataset.

    Returns:
        One sentence per fault; empty for a valid dataset.
    """
    from pandera.errors import SchemaErrors

    try:
        _schema().validate(table.to_pandas(), lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases[["column", "check"]].drop_duplicates()
        return [
            str(check) if column is None or column != column else f"{column}: {check}"  # noqa: PLR0124 - NaN
            for column, check in cases.itertuples(index=False)
        ]
    return []


def _schema() -> Any:
    import pandera.pandas as pa_checks

    column, check = pa_checks.Column, pa_checks.Check
    text = [check(lambda texts: texts.str.strip().ne(""), error="empty text")]
    return pa_checks.DataFrameSchema(
        {
            "bot": column(nullable=False),
            "question": column(
                checks=[*text, check(lambda texts: texts.str.len() <= MAX_TAUGHT_QUESTION_CHARS, error="too long")]
            ),
            "answer": column(
                checks=[*text, check(lambda texts: texts.str.len() <= MAX_TAUGHT_ANSWER_CHARS, error="too long")]
            ),
            "source": column(checks=check.isin(SOURCES)),
            "split": column(checks=check.isin(SPLITS)),
            "weight": column(checks=check.ge(1)),
            "cluster": column(nullable=False),
        },
        checks=[
            check(lambda rows: set(rows["split"]) == set(SPLITS), error="train, val or test is empty"),
            check(
                lambda rows: (rows.groupby("cluster")["split"].nunique() == 1).all(),
                error="a cluster is in several splits",
            ),
            check(lambda rows: not rows.duplicated(["question", "answer"]).any(), error="a pair occurs twice"),
            check(_no_dominant_answer, error="one answer makes up more than a fifth of all rows"),
            check(_no_dominant_player, error="one player taught more than half of all rows"),
        ],
    )


def _no_dominant_answer(rows: Any) -> bool:
    return len(rows) < _SHARES_FROM_ROWS or rows["answer"].value_counts(normalize=True).iloc[0] <= _LARGEST_ANSWER_SHARE


def _no_dominant_player(rows: Any) -> bool:
    if len(rows) < _SHARES_FROM_ROWS:
        return True
    taught = rows.loc[rows["player_id"] != "", "player_id"]
    return taught.empty or taught.value_counts().iloc[0] <= _LARGEST_PLAYER_SHARE * len(rows)
