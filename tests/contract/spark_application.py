"""A trivial Spark application. The contract suite runs it with spark-submit, and its function on the double."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from kogpt2_chat.errors import InvalidInput


def echo(arguments: Mapping[str, object], count: Callable[[int], int]) -> dict[str, object]:
    """Return the argument `text` and a row count, or fail as the arguments demand."""
    if "reject" in arguments:
        raise InvalidInput(str(arguments["reject"]))
    if "fail" in arguments:
        raise RuntimeError(str(arguments["fail"]))
    return {"text": arguments["text"], "rows": count(len(str(arguments["text"])))}


def main(arguments_path: str, result_path: str) -> None:
    """Read the arguments from a file and write the result to another one, as the applications in ``spark_jobs/`` do."""
    try:
        outcome = {"result": echo(json.loads(Path(arguments_path).read_text(encoding="utf-8")), _count)}
    except InvalidInput as error:
        outcome = {"invalid": str(error)}
    Path(result_path).write_text(json.dumps(outcome, ensure_ascii=False), encoding="utf-8")


def _count(rows: int) -> int:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.appName("contract").getOrCreate()
    try:
        return session.range(rows).count()
    finally:
        session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
