"""Workers of a fault test: real processes with a tiny model on their shelves, started again as a supervisor would."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.faults.broker_process import BrokerProcess
from tests.integration.worker_process import WorkerProcess

QUICK = {
    "KOGPT2_SERVING__THREADS": "1",
    "KOGPT2_MODEL__MAX_NEW_TOKENS": "8",
    "KOGPT2_SERVING__MAX_IN_FLIGHT": "24",
    # Requests to a broker that is away must not outlast a test.
    "KOGPT2_KAFKA__REQUEST_TIMEOUT_S": "5",
}


class WorkerPool:
    """Keeps one process a slot alive.

    Args:
        kafka: the broker and the home.
        more: environment of every worker.
    """

    def __init__(self, kafka: BrokerProcess, more: Mapping[str, str] | None = None) -> None:
        self.kafka = kafka
        self.more = {**QUICK, **(more or {})}
        self.workers: dict[int, WorkerProcess] = {}
        self.exit_codes: list[int] = []

    def start(self, slot: int, failpoint: str = "", more: Mapping[str, str] | None = None) -> WorkerProcess:
        """A worker in a slot that is free."""
        made = WorkerProcess(self.kafka.settings, slot, self.kafka.home, failpoint, {**self.more, **(more or {})})
        self.workers[slot] = made
        return made

    def start_ready(self, *slots: int) -> None:
        """Workers side by side, until each is in the group."""
        for slot in slots:
            self.start(slot)
        for slot in slots:
            self.workers[slot].wait_ready()

    def dead(self) -> list[int]:
        """Slots whose process has ended since the last call; their exit codes are kept."""
        found = [slot for slot, worker in self.workers.items() if worker.process.poll() is not None]
        for slot in found:
            self.exit_codes.append(self.workers.pop(slot).process.returncode)
        return found

    def revive(self) -> None:
        """Start again whatever ended."""
        for slot in self.dead():
            self.start(slot)

    def stop(self, slot: int) -> float:
        """SIGTERM; give the seconds it took."""
        return self.workers.pop(slot).terminate()

    def close(self) -> None:
        """End all of them."""
        for worker in self.workers.values():
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.send_signal(signal.SIGTERM)
        for worker in self.workers.values():
            worker.terminate()

    @property
    def killed(self) -> int:
        """How many have died of SIGKILL."""
        return self.exit_codes.count(-signal.SIGKILL)


@contextmanager
def crew_of(kafka: BrokerProcess, more: Mapping[str, str] | None = None) -> Iterator[WorkerPool]:
    """A crew that leaves nobody behind."""
    crew = WorkerPool(kafka, more)
    try:
        yield crew
    finally:
        try:
            crew.close()
        finally:
            for worker in crew.workers.values():
                worker.kill()


def lines(worker: WorkerProcess, event: str) -> int:
    """How often a worker's log names an event."""
    return worker.log_path.read_text(errors="replace").count(f'"{event}"')


def wait_for_line(worker: WorkerProcess, event: str, count: int, timeout_s: float = 120.0) -> None:
    """Until a worker has logged an event that often."""
    deadline = time.monotonic() + timeout_s
    while lines(worker, event) < count:
        assert time.monotonic() < deadline, f"{event} was not logged: {worker.tail()}"
        time.sleep(0.1)
