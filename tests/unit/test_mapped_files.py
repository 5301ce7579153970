"""Resident pages of memory-mapped files can be dropped without losing data."""

import mmap
import re
from pathlib import Path

from kogpt2_chat.inference.mapped_files import advise_dontneed

PAGES = 256


def resident_kb(path: Path) -> int:
    """Return how much of a mapped file is resident in this process."""
    text = Path("/proc/self/smaps").read_text("utf-8", "replace")
    found = re.search(rf"{re.escape(str(path))}\n.*?\nRss:\s+(\d+) kB", text, re.DOTALL)
    assert found is not None, "the file is not mapped"
    return int(found[1])


def test_dropped_pages_of_a_mapped_file_can_be_read_again(tmp_path):
    """The pages are no longer resident after the call, and the content is unchanged."""
    path = tmp_path / "가중치 하나.bin"
    content = bytes(range(256)) * (PAGES * mmap.PAGESIZE // 256)
    path.write_bytes(content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped[:] == content
        assert resident_kb(path) == PAGES * mmap.PAGESIZE // 1024
        advise_dontneed(path)
        assert resident_kb(path) == 0
        assert mapped[:] == content


def test_writable_mappings_are_not_changed(tmp_path):
    """Dropping their pages would lose private changes."""
    path = tmp_path / "notes.bin"
    path.write_bytes(b"a" * mmap.PAGESIZE)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[:3] = "가".encode()
        advise_dontneed(path)
        assert mapped[:3] == "가".encode()
