"""Freed memory is kept within the context only. In a process of its own, because it changes the C library's allocator."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from kogpt2_chat.machine.allocator import freed_memory_is_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(64 << 20)  # written to, and freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with freed_memory_is_kept():
    faults()
    within = faults()
faults()
print(within, faults())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_freed_memory_is_kept_within_the_context_and_returned_after_it():
    """A block that is allocated again causes no page faults, until the context ends."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    within, after = map(int, done.stdout.split())
    assert after > 500  # of 1,024 pages of 64 kB, or 16,384 of 4 kB
    assert within < after / 10
