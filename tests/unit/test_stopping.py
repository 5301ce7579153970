"""After SIGTERM a worker ends with exit code 0, even if a call hangs."""

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
threading.Thread(target=lambda: (stop.event.wait(), print("signal received", flush=True)), daemon=True).start()
print("ready", flush=True)
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
harness, stop = WorkerHarness(Path(sys.argv[1])), Stop(end_s=1.0)
def hang(*_):
    print("ready", flush=True)
    threading.Event().wait()
setattr(harness.consumer, sys.argv[2], hang)
harness.loop.stop, harness.loop.publisher = stop.event, ThreadPoolExecutor(1)
harness.loop.models_loaded.set()
harness.ask('not a question')
stop.listen()
if sys.argv[2] == "close":
    print("ready", flush=True)
harness.loop.run(finish_s=0.2)
harness.consumer.close()
"""
STARTING = """
from serving.stopping import exit_on_signal
exit_on_signal()
print("ready", flush=True)
import threading
threading.Event().wait()
"""


def stop_when_ready(program: str, *arguments: str) -> tuple[int, str]:
    """Run the program, send SIGTERM after its first line, and return its exit code and its later output."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the program ended before the signal"
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, output


def test_a_process_that_hangs_in_c_code_ends():
    """The Kafka client may wait ten seconds in C code. Python runs signal handlers only between bytecodes."""
    exit_code, output = stop_when_ready(HANGS_IN_C)
    assert exit_code == 0
    assert output.startswith("signal received\n")


@pytest.mark.parametrize("step", ["recover", "poll", "publish", "close"])
def test_a_worker_ends_if_a_call_of_its_consumer_hangs(tmp_path, step):
    """Supervisors kill it after ten seconds. Exit code 0 means that it stopped on request."""
    assert stop_when_ready(WORKER, str(tmp_path), step)[0] == 0


def test_a_worker_that_is_starting_ends_at_once():
    """It has no questions yet. The default action of the signal would look like a crash."""
    assert stop_when_ready(STARTING) == (0, "")
