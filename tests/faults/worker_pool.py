"""Workers of a fault test: real processes with a tiny model in their version cache, restarted as by a supervisor."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.faults.broker_process import BrokerProcess
from tests.integration.worker_process import WorkerProcess

QUICK = {
    "KOGPT2_SERVING__THREADS": "1",
    "KOGPT2_MODEL__MAX_NEW_TOKENS": "8",
    "KOGPT2_SERVING__MAX_IN_FLIGHT": "24",
    # Requests to a broker that is down must not outlast a test.
    "KOGPT2_KAFKA__REQUEST_TIMEOUT_S": "5",
}


class WorkerPool:
    """Runs one worker process per ordinal.

    Args:
        kafka: the broker; its home is also the home of the workers.
        more: further environment variables of every worker.

    Attributes:
        workers: the running workers by ordinal.
        exit_codes: the exit codes of the workers that :meth:`dead` has found.
    """

    def __init__(self, kafka: BrokerProcess, more: Mapping[str, str] | None = None) -> None:
        self.kafka = kafka
        self.more = {**QUICK, **(more or {})}
        self.workers: dict[int, WorkerProcess] = {}
        self.exit_codes: list[int] = []

    def start(self, ordinal: int, failpoint: str = "", more: Mapping[str, str] | None = None) -> WorkerProcess:
        """Start a worker with an ordinal that no running worker has."""
        made = WorkerProcess(self.kafka.settings, ordinal, self.kafka.home, failpoint, {**self.more, **(more or {})})
        self.workers[ordinal] = made
        return made

    def start_ready(self, *ordinals: int) -> None:
        """Start workers and wait until all are ready."""
        for ordinal in ordinals:
            self.start(ordinal)
        for ordinal in ordinals:
            self.workers[ordinal].wait_ready()

    def dead(self) -> list[int]:
        """Remove the workers that have ended, keep their exit codes, and return their ordinals."""
        found = [ordinal for ordinal, worker in self.workers.items() if worker.process.poll() is not None]
        for ordinal in found:
            self.exit_codes.append(self.workers.pop(ordinal).process.returncode)
        return found

    def restart_dead(self) -> None:
        """Start a new worker for each one that has ended."""
        for ordinal in self.dead():
            self.start(ordinal)

    def stop(self, ordinal: int) -> float:
        """End a worker with SIGTERM and return the seconds it took."""
        return self.workers.pop(ordinal).terminate()

    def close(self) -> None:
        """Stop all workers, also frozen ones."""
        for worker in self.workers.values():
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.send_signal(signal.SIGTERM)
        for worker in self.workers.values():
            worker.terminate()

    @property
    def killed(self) -> int:
        """Number of workers that were ended by SIGKILL."""
        return self.exit_codes.count(-signal.SIGKILL)


@contextmanager
def worker_pool(kafka: BrokerProcess, more: Mapping[str, str] | None = None) -> Iterator[WorkerPool]:
    """Make a pool, and leave no worker running."""
    pool = WorkerPool(kafka, more)
    try:
        yield pool
    finally:
        try:
            pool.close()
        finally:
            for worker in pool.workers.values():
                worker.kill()


def count_events(worker: WorkerProcess, event: str) -> int:
    """Return how often an event occurs in a worker's log."""
    return worker.log_path.read_text(errors="replace").count(f'"{event}"')
