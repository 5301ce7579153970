"""How tests are distributed over processes."""

import pytest

parallel = pytest.importorskip(
    "tests.parallel", reason="pytest-xdist is not installed: run `make setup`", exc_type=ImportError
)


@pytest.mark.parametrize(
    ("cores", "memory_mb", "processes"), [(2, 24_000, 2), (64, 24_000, 11), (8, 1000, 1), (1, 64_000, 1)]
)
def test_memory_limits_the_number_of_processes(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory_mb: int, processes: int
) -> None:
    """One process per core if each gets the memory that torch and Spark need, and at least one process."""
    monkeypatch.setattr(parallel, "usable_cores", lambda: cores)
    monkeypatch.setattr(parallel, "usable_memory_mb", lambda: memory_mb)
    assert parallel.process_count() == processes


@pytest.mark.parametrize(
    ("nodeid", "unit_of_work"),
    [
        ("tests/unit/test_wire.py::test_x[tests/spark/a::b]", "tests/unit/test_wire.py"),
        ("tests/model/test_engine.py::test_y", "tests/model/test_engine.py"),
        ("tests/spark/test_attacks.py::test_z", "tests/spark/"),
        ("tests/spark/test_repeats.py::test_z", "tests/spark/"),
    ],
)
def test_a_file_stays_in_one_process_and_spark_in_one_session(nodeid: str, unit_of_work: str) -> None:
    """Module fixtures are created once, and so is the Spark session, which takes ten seconds to start."""
    assert parallel.FileScheduling._split_scope(None, nodeid) == unit_of_work
