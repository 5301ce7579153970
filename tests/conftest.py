"""Fixtures for every layer. Nothing here starts before a test asks for it."""

import csv
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.domain.learning.dataset import PairKeys, assign_splits
from kogpt2_chat.heartbeat import Heartbeat
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.settings import CHECKOUT, Ports, Settings, load_settings
from kogpt2_chat.stack.program import environment_without_settings
from tests.capped import NOT_TESTED

# As people have it: Korean and a space in its path. Every server, training and worker of the tests lives there.
TEST_HOME = CHECKOUT / "var" / "test" / "별마루 내 집 #1, 100%"
SMALL_CORPUS_ROWS = 1200
FOLDERS = ("unit", "model", "upgrade", "contract", "dags", "spark", "integration", "faults", "e2e")
"""Quick layers first, the browser last. Homes of earlier releases start their own stack, so they come before the session's."""
SERVERLESS_FOLDERS = ("model", "dags", "unit")
PARALLEL_FOLDERS = ("spark", *SERVERLESS_FOLDERS)
"""Folders with tests for several processes. The longest files come first, so that none is left for the end."""
FIRST_OFFSET, LAST_OFFSET, OFFSET_STEP = 20000, 50000, 250


def pytest_configure() -> None:
    """As `make test` does it: the caller's settings may name servers where real players are."""
    if not os.environ.get("KOGPT2_TEST_STACK"):
        kept = {name: value for name, value in os.environ.items() if name.startswith("KOGPT2_TEST_")}
        settings_free = environment_without_settings() | kept
        os.environ.clear()
        os.environ.update(settings_free)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the stack and those that may run in parallel, and sort the layers."""
    for item in items:
        if {"stack_settings", "open_home"} & set(getattr(item, "fixturenames", ())):
            if _folder(item) in SERVERLESS_FOLDERS:  # scripts/test.sh does not look for such tests there
                raise pytest.UsageError(f"{item.nodeid} requests servers: move it out of tests/{_folder(item)}")
            item.add_marker(pytest.mark.stack)
        elif _folder(item) in PARALLEL_FOLDERS:
            item.add_marker(pytest.mark.parallel)
    order = PARALLEL_FOLDERS if items and hasattr(items[0].config, "workerinput") else FOLDERS
    items.sort(key=lambda item: order.index(folder) if (folder := _folder(item)) in order else 0)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(CHECKOUT).parts[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Number of processes for ``-n auto``."""
    from tests.parallel import process_count

    return process_count()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """Which tests stay together in one process."""
    from tests.parallel import FileScheduling

    config.option.loadscopereorder = False  # the order of the layers counts, not the number of tests in a file
    return FileScheduling(config, log)


_outcome: list[int] = []
_heartbeats: list[Heartbeat] = []
_running: dict[str, None] = {}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Name the test that is at work whenever nothing was shown for ten seconds."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        _heartbeats.append(Heartbeat(lambda line: reporter.write_line(f"at work: {line}"), "collecting tests"))
        _heartbeats[0].__enter__()


def pytest_runtest_logstart(nodeid: str) -> None:
    """A test begins, here or in another process."""
    _running[nodeid] = None
    _hear()


def pytest_runtest_logfinish(nodeid: str) -> None:
    """A test has ended; others may still be running in other processes."""
    _running.pop(nodeid, None)
    if _running:
        _hear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test whose process crashed has no end, only a report of pytest-xdist's own kind."""
    if report.when == "???":
        _running.pop(report.nodeid, None)


def _hear() -> None:
    for heartbeat in _heartbeats:
        heartbeat.heard(next(iter(_running)))  # the one that has been running longest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Remember how the session ended, for the end of the process."""
    _outcome.append(int(exitstatus))
    for heartbeat in _heartbeats:
        heartbeat.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each thing that this machine cannot show."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    notes = [tuple(note) for report in reports for note in getattr(report, "user_properties", ())]
    for name, why in dict.fromkeys(notes):
        if name == NOT_TESTED:
            terminalreporter.write_line(f"not tested here: {why}", yellow=True)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """End at once: Kafka clients of tests wait at the interpreter's end for a broker that is stopped by then.

    A process of pytest-xdist must not, because its caller still reads from it; none of those has a broker.
    """
    if _outcome and "kafka" in sys.modules and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_outcome[-1])


@pytest.fixture(scope="session")
def small_corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every other row of each bot's seed corpus, with gold and golden rows that fit them."""
    folder = tmp_path_factory.mktemp("corpora")
    for bot in BOT_IDS:
        write_small_corpus(CHECKOUT / "corpora" / bot, folder / bot)
    return folder


def write_small_corpus(source: Path, target: Path, count: int = SMALL_CORPUS_ROWS) -> None:
    """Every n-th seed row, so that all topics are there; golden questions are among those that are trained on."""
    target.mkdir(parents=True)
    rows = list(csv.DictReader((source / "seed.csv").open(encoding="utf-8")))
    chosen = rows[:: len(rows) // count][:count]
    with (target / "seed.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer", "topic"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(chosen)
    for judging in ("gold.csv", "dev.csv"):
        shutil.copy(source / judging, target / judging)
    keys = [PairKeys(question_key=phrase_key(row["question"]), answer_key=phrase_key(row["answer"])) for row in chosen]
    learned = [row for row, where in zip(chosen, assign_splits(keys), strict=True) if where.split == "train"]
    golden = [
        {"question": row["question"], "any_of": [row["answer"].split()[0].strip(".,!?")], "must_pass": True}
        for row in learned[:5]
    ]
    (target / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1), encoding="utf-8")


@pytest.fixture(scope="session")
def stack_settings(small_corpora: Path) -> Iterator[Settings]:
    """Settings of a running stack of real servers.

    ``KOGPT2_TEST_STACK=1`` takes the stack that the environment describes and leaves it alone; otherwise a
    stack of this session's own is started on free ports and removed at the end.
    """
    if os.environ.get("KOGPT2_TEST_STACK"):
        yield load_settings()
        return
    from kogpt2_chat import bootstrap
    from kogpt2_chat.stack.stack import down, up

    with hold_lock(CHECKOUT / "var" / "test.lock", _tell):  # two sessions would remove each other's servers
        os.environ.update(_stack_environment(small_corpora))
        settings = load_settings()
        down(settings, wipe=True, progress=_tell)
        try:
            up(settings, progress=_tell, on_ready=lambda: bootstrap.prepare_servers(settings))
            yield settings
        finally:
            down(settings, wipe=not os.environ.get("KOGPT2_TEST_KEEP"), progress=_tell)


def _stack_environment(corpora: Path) -> dict[str, str]:
    """Half of the pairs of a bot, learned from the base in the checkout; no quarantine, a fixed password."""
    return {
        "KOGPT2_HOME": str(TEST_HOME),
        "KOGPT2_PORTS__OFFSET": str(free_offset()),
        "KOGPT2_STACK__AIRFLOW_PASSWORD": "test-only-password",
        "KOGPT2_MODEL__BASE": "small",
        # Half of the pairs, half as far from the base: at the rate for all of them gold gets too unlikely.
        "KOGPT2_TRAINING__EPOCHS": "1",
        "KOGPT2_TRAINING__LEARNING_RATE": "0.0002",
        "KOGPT2_LEARNING__CORPORA": str(corpora),
        "KOGPT2_LEARNING__QUARANTINE_HOURS": "0",
        "KOGPT2_LEARNING__AUTO_REVIEW": "true",
        "KOGPT2_LEARNING__LEGACY_CONSENT": "true",
        "KOGPT2_LEARNING__MIN_NEW_EXAMPLES": "1",
        # Tests start their retrainings themselves.
        "KOGPT2_LEARNING__RETRAIN_CRON": "never",
        "KOGPT2_LEARNING__RETRAIN_ON_TEACHINGS": "false",
    }


def free_offset() -> int:
    """The first offset at which all of the stack's ports are free."""
    given = Ports().model_dump(exclude={"offset"}).values()
    ports = [port for one in given for port in (one if isinstance(one, tuple | list) else (one,))]
    for offset in range(FIRST_OFFSET, LAST_OFFSET, OFFSET_STEP):
        if all(_is_free(port + offset) for port in ports):
            return offset
    raise RuntimeError(f"no free block of ports between offsets {FIRST_OFFSET} and {LAST_OFFSET}")


def _is_free(port: int) -> bool:
    if port > 65535:
        return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _tell(line: str) -> None:
    print(f"stack: {line}", flush=True)
