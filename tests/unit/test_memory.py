"""Usable memory: the smallest of the machine's memory and the limits of its cgroups."""

import pytest

from kogpt2_chat.machine.memory import usable_memory_mb

GIB = 1 << 30


@pytest.mark.parametrize(
    ("proc", "file", "limit", "usable_mb"),
    [
        ("0::/a.slice/b", "a.slice/b/memory.max", str(8 * GIB), 8192),
        ("0::/a.slice/b", "a.slice/memory.max", str(4 * GIB), 4096),
        ("0::/a.slice/b", "a.slice/b/memory.max", "max", 24_000),
        ("9:memory:/docker/x", "memory/docker/x/memory.limit_in_bytes", str(2 * GIB), 2048),
        ("9:memory:/docker/x", "memory/memory.limit_in_bytes", str(2 * GIB), 2048),
        ("9:memory:/docker/x", "memory/docker/x/memory.limit_in_bytes", str((1 << 63) - 4096), 24_000),
        ("3:cpu:/docker/x", "memory/docker/x/memory.limit_in_bytes", str(2 * GIB), 24_000),
        ("", "memory.max", str(2 * GIB), 24_000),
    ],
)
def test_the_smallest_limit_is_returned(tmp_path, proc, file, limit, usable_mb):
    """Limits of parent cgroups count too, in both cgroup versions. Without a limit, the machine's memory is returned."""
    (tmp_path / "proc").write_text(f"{proc}\n", "ascii")
    path = tmp_path / "cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{limit}\n", "ascii")
    assert usable_memory_mb(tmp_path / "proc", tmp_path / "cgroup", total_mb=24_000) == usable_mb
