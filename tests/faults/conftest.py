"""Fixtures of the fault tests: a broker of their own, workers, books, and a table at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat.settings import Serving
from tests.faults.broker_process import FAULTS_HOME, BrokerProcess, keeps_home, lone_kafka
from tests.faults.consumers import Group
from tests.faults.reply_audit import ReplyAudit
from tests.faults.report import FaultReport
from tests.faults.worker_pool import WorkerPool, crew_of

_REPORT = FaultReport()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for the broker needs a server, as the tests on the session's stack do."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def kafka() -> Iterator[BrokerProcess]:
    """A broker that may be killed, and nothing else of the stack."""
    with lone_kafka(keep=keeps_home()) as made:
        yield made


@pytest.fixture
def crew(kafka: BrokerProcess) -> Iterator[WorkerPool]:
    """No worker yet; whoever is started is ended."""
    with crew_of(kafka) as made:
        yield made


@pytest.fixture
def group(kafka: BrokerProcess) -> Iterator[Group]:
    """A consumer group of the test's own; its exchanges are closed."""
    made = Group(kafka.settings.model_copy(update={"serving": Serving(session_timeout_s=6)}))
    yield made
    made.close()


@pytest.fixture
def ledger(kafka: BrokerProcess) -> ReplyAudit:
    """Books that begin now."""
    return ReplyAudit(kafka.settings)


@pytest.fixture(scope="session")
def report() -> FaultReport:
    """Where scenarios write what they measured."""
    return _REPORT


def pytest_terminal_summary(terminalreporter) -> None:
    """The table, and the same as JSON beside the tests' home."""
    if _REPORT.rows:
        _REPORT.write(FAULTS_HOME / "report.json")
        terminalreporter.section("faults")
        for line in _REPORT.table():
            terminalreporter.write_line(line)
