"""Fixtures of the fault tests: a separate broker, workers, an audit of the replies, and a table of the results."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.ports import Topics
from kogpt2_chat.settings import Serving
from tests.faults.broker_process import FAULTS_HOME, BrokerProcess, keeps_home, own_broker
from tests.faults.consumers import ConsumerGroup
from tests.faults.gateway_process import GatewayProcess, gateway_process
from tests.faults.reply_audit import ReplyAudit
from tests.faults.report import FaultReport
from tests.faults.worker_pool import WorkerPool, worker_pool
from tests.world.served import EchoBot

_REPORT = FaultReport()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that request the broker: they need a server, like the tests on the session's stack."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def kafka() -> Iterator[BrokerProcess]:
    """A Kafka broker without the rest of the stack. Tests may kill it."""
    with own_broker(keep=keeps_home()) as made:
        yield made


@pytest.fixture
def pool(kafka: BrokerProcess) -> Iterator[WorkerPool]:
    """A pool without workers; the workers that a test starts are stopped at its end."""
    with worker_pool(kafka) as made:
        yield made


@pytest.fixture
def group(kafka: BrokerProcess) -> Iterator[ConsumerGroup]:
    """A consumer group for one test; its consumers are closed at the end."""
    made = ConsumerGroup(kafka.settings.model_copy(update={"serving": Serving(session_timeout_s=6)}))
    yield made
    made.close()


@pytest.fixture
def audit(kafka: BrokerProcess) -> ReplyAudit:
    """An audit of all questions and replies from now on."""
    return ReplyAudit(kafka.settings)


@pytest.fixture
def topics(kafka: BrokerProcess) -> Iterator[Topics]:
    """The broker's topics."""
    made = bootstrap.topics(kafka.settings)
    yield made
    made.close()


@pytest.fixture
def echo_bot(topics: Topics) -> Iterator[EchoBot]:
    """Answers the questions of the world's players, on the broker itself."""
    made = EchoBot(topics)
    yield made
    made.stop()


@pytest.fixture
def gateway(kafka: BrokerProcess, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway of the world."""
    with gateway_process(kafka.settings, tmp_path) as made:
        yield made.start()


@pytest.fixture(scope="session")
def report() -> FaultReport:
    """The results of all scenarios of the session."""
    return _REPORT


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the table, and write the same as JSON to the fault tests' folder."""
    if _REPORT.rows:
        _REPORT.write(FAULTS_HOME / "report.json")
        terminalreporter.section("faults")
        for line in _REPORT.table():
            terminalreporter.write_line(line)
