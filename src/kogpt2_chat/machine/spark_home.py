"""Find the Spark that comes with pyspark."""

from importlib.util import find_spec
from pathlib import Path

from kogpt2_chat.errors import Unavailable


def spark_home() -> Path:
    """Return the home folder of the Spark that comes with pyspark; ignore SPARK_HOME.

    Raises:
        Unavailable: pyspark is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise Unavailable("pyspark is not installed in this environment: run `make setup`")
    return Path(spec.origin).parent
