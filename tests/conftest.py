"""Fixtures for all kinds of tests. No server starts before a test requests it."""

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
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.progress_thread import ProgressThread
from kogpt2_chat.settings import CHECKOUT, Ports, Settings, load_settings
from kogpt2_chat.stack.program import environment_without_settings
from tests.capped import NOT_TESTED

# The home of all servers, trainings and workers of the tests. Like a user's path, it has Korean letters and spaces.
TEST_HOME = CHECKOUT / "var" / "test" / "별마루 내 집 #1, 100%"
SMALL_CORPUS_ROWS = 1200
FOLDERS = ("unit", "world", "model", "upgrade", "contract", "dags", "spark", "integration", "faults", "e2e")
"""Quick tests first, the browser last. Homes of earlier releases start their own stack, before the session's stack."""
SERVERLESS_FOLDERS = ("model", "dags", "unit", "world")
PARALLEL_FOLDERS = ("spark", *SERVERLESS_FOLDERS)
"""Folders whose tests run in several processes. Those with the longest files come first, which shortens the run."""
FIRST_OFFSET, LAST_OFFSET, OFFSET_STEP = 20000, 50000, 250


def pytest_configure() -> None:
    """Remove the caller's settings, as `make test` does: they may name servers with real players."""
    if not os.environ.get("KOGPT2_TEST_STACK"):
        kept = {name: value for name, value in os.environ.items() if name.startswith("KOGPT2_TEST_")}
        settings_free = environment_without_settings() | kept
        os.environ.clear()
        os.environ.update(settings_free)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the stack and those that may run in parallel, and sort the folders."""
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
    """The scheduler that keeps the tests of a file in one process."""
    from tests.parallel import FileScheduling

    config.option.loadscopereorder = False  # keep the order of the folders instead of sorting by number of tests
    return FileScheduling(config, log)


_exit_statuses: list[int] = []
_progress_threads: list[ProgressThread] = []
_running: dict[str, None] = {}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Print the running test whenever nothing was printed for ten seconds."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        _progress_threads.append(ProgressThread(lambda line: reporter.write_line(f"tests: {line}"), "collecting tests"))
        _progress_threads[0].__enter__()


def pytest_runtest_logstart(nodeid: str) -> None:
    """Record the start of a test, in this process or another one."""
    _running[nodeid] = None
    _note_running()


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Record the end of a test; others may still run in other processes."""
    _running.pop(nodeid, None)
    if _running:
        _note_running()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the end of a test whose process crashed: for it pytest-xdist only sends this report."""
    if report.when == "???":
        _running.pop(report.nodeid, None)


def _note_running() -> None:
    for progress_thread in _progress_threads:
        progress_thread.note(next(iter(_running)))  # the longest-running test


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Store the exit status for `pytest_unconfigure`, and stop the progress thread."""
    _exit_statuses.append(int(exitstatus))
    for progress_thread in _progress_threads:
        progress_thread.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each thing that cannot be tested on this machine."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    notes = [tuple(note) for report in reports for note in getattr(report, "user_properties", ())]
    for name, why in dict.fromkeys(notes):
        if name == NOT_TESTED:
            terminalreporter.write_line(f"not tested here: {why}", yellow=True)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """End the process at once: at the interpreter's exit, Kafka clients would wait for a broker that has stopped.

    A process of pytest-xdist must not do that, because its parent still reads from it; its tests use no broker.
    """
    if _exit_statuses and "kafka" in sys.modules and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_statuses[-1])


@pytest.fixture(scope="session")
def small_corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every other row of each bot's seed corpus, with gold and golden rows that fit them."""
    folder = tmp_path_factory.mktemp("corpora")
    for bot in BOT_IDS:
        write_small_corpus(CHECKOUT / "corpora" / bot, folder / bot)
    return folder


def write_small_corpus(source: Path, target: Path, count: int = SMALL_CORPUS_ROWS) -> None:
    """Write every n-th seed row, so that all topics occur, and golden questions from the training split."""
    target.mkdir(parents=True)
    rows = list(csv.DictReader((source / "seed.csv").open(encoding="utf-8")))
    chosen = rows[:: len(rows) // count][:count]
    with (target / "seed.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer", "topic"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(chosen)
    for name in ("gold.csv", "dev.csv"):
        shutil.copy(source / name, target / name)
    keys = [PairKeys(question_key=phrase_key(row["question"]), answer_key=phrase_key(row["answer"])) for row in chosen]
    train = [row for row, assigned in zip(chosen, assign_splits(keys), strict=True) if assigned.split == "train"]
    golden = [
        {"question": row["question"], "any_of": [row["answer"].split()[0].strip(".,!?")], "must_pass": True}
        for row in train[:5]
    ]
    (target / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1), encoding="utf-8")


@pytest.fixture(scope="session")
def stack_settings(small_corpora: Path) -> Iterator[Settings]:
    """Settings of a running stack of real servers.

    With ``KOGPT2_TEST_STACK=1`` it is the stack of the environment's settings, which is not stopped. Otherwise the
    session starts a separate stack on free ports and removes it at the end.
    """
    if os.environ.get("KOGPT2_TEST_STACK"):
        yield load_settings()
        return
    from kogpt2_chat import bootstrap
    from kogpt2_chat.stack.stack import down, up

    with hold_lock(
        CHECKOUT / "var" / "test.lock", _print_progress
    ):  # otherwise two sessions would remove each other's servers
        os.environ.update(_stack_environment(small_corpora))
        settings = load_settings()
        down(settings, wipe=True, progress=_print_progress)
        try:
            up(settings, progress=_print_progress, on_ready=lambda: bootstrap.prepare_servers(settings))
            yield settings
        finally:
            down(settings, wipe=not os.environ.get("KOGPT2_TEST_KEEP"), progress=_print_progress)


def _stack_environment(corpora: Path) -> dict[str, str]:
    """Return settings for half of each bot's pairs, the base in the checkout, no minimum age and a fixed password."""
    return {
        "KOGPT2_HOME": str(TEST_HOME),
        "KOGPT2_PORTS__OFFSET": str(free_offset()),
        "KOGPT2_STACK__AIRFLOW_PASSWORD": "test-only-password",
        "KOGPT2_MODEL__BASE": "small",
        # For half of the pairs, half of the learning rate: with the full rate the gold pairs become too unlikely.
        "KOGPT2_TRAINING__EPOCHS": "1",
        "KOGPT2_TRAINING__LEARNING_RATE": "0.0002",
        "KOGPT2_LEARNING__CORPORA": str(corpora),
        "KOGPT2_LEARNING__MIN_AGE_HOURS": "0",
        "KOGPT2_LEARNING__AUTO_REVIEW": "true",
        "KOGPT2_LEARNING__LEGACY_CONSENT": "true",
        "KOGPT2_LEARNING__MIN_NEW_EXAMPLES": "1",
        # Only tests start retrainings.
        "KOGPT2_LEARNING__RETRAIN_CRON": "never",
        "KOGPT2_LEARNING__RETRAIN_ON_TEACHINGS": "false",
    }


def free_offset() -> int:
    """Return the first offset at which all ports of the stack are free."""
    defaults = Ports().model_dump(exclude={"offset"}).values()
    ports = [port for one in defaults for port in (one if isinstance(one, tuple | list) else (one,))]
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


def _print_progress(line: str) -> None:
    print(f"stack: {line}", flush=True)
