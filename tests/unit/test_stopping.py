"""A worker that is asked to stop ends, with exit code 0, whatever hangs."""

import signal
import subprocess
import sys

import pytest

from kogpt2_chat.settings import CHECKOUT

HANGS_IN_C = """
import ctypes, threading
from serving.stopping import Stop
stop = Stop(end_s=0.3)
stop.listen()
threading.Thread(target=lambda: (stop.event.wait(), print("heard", flush=True)), daemon=True).start()
print("listening", flush=True)
lock, c = ctypes.create_string_buffer(256), ctypes.CDLL(None)
c.pthread_mutex_lock(lock)
c.pthread_mutex_lock(lock)
"""
WORKER = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from serving.stopping import Stop
from tests.worker_harness import WorkerHarness
bench, stop = WorkerHarness(Path(sys.argv[1])), Stop(end_s=1.0)
def hang(*_):
    print("hangs", flush=True)
    threading.Event().wait()
setattr(bench.consumer, sys.argv[2], hang)
bench.loop.stop, bench.loop.publisher = stop.event, ThreadPoolExecutor(1)
bench.loop.models_loaded.set()
bench.ask('no question')
stop.listen()
if sys.argv[2] == "close":
    print("runs", flush=True)
bench.loop.run(finish_s=0.2)
bench.consumer.close()
"""
BEFORE = """
from serving.stopping import exit_on_signal
exit_on_signal()
print("begins", flush=True)
import threading
threading.Event().wait()
"""


def ended_after(program: str, *arguments: str) -> tuple[int, str]:
    """Run it, ask it to stop at its first word; give its exit code and what it said then."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "it ended by itself"
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, said


def test_a_call_that_never_returns_to_python_keeps_nobody():
    """The Kafka client in C waits ten seconds for a broker; Python hears signals between its own steps only."""
    exit_code, said = ended_after(HANGS_IN_C)
    assert exit_code == 0
    assert said.startswith("heard\n")


@pytest.mark.parametrize("step", ["recover", "poll", "publish", "close"])
def test_a_worker_ends_on_request_wherever_its_exchange_hangs(tmp_path, step):
    """A supervisor kills after ten seconds; exit code 0 says that it was asked to end."""
    assert ended_after(WORKER, str(tmp_path), step)[0] == 0


def test_a_worker_that_has_just_begun_ends_at_once():
    """It holds nothing yet; a signal's own default would say that it was killed."""
    assert ended_after(BEFORE) == (0, "")
