"""`stack logs -f` while the log is rotated, truncated or written in parts."""

from itertools import islice
from pathlib import Path

import pytest

from kogpt2_chat.stack.log_tail import follow


def test_a_rotated_log_is_followed(tmp_path: Path) -> None:
    """The rest of the old file comes first, then the new file from its beginning, with each line once."""
    path = tmp_path / "kafka.log"
    path.write_text("하나\n둘\n", encoding="utf-8")
    lines = follow(path, 1, pause=lambda _: None)
    assert next(lines) == "둘"
    with path.open("a", encoding="utf-8") as old:
        path.rename(tmp_path / "kafka.log.1")
        old.write("셋\n")
    path.write_text("넷\n다섯\n", encoding="utf-8")
    assert list(islice(lines, 3)) == ["셋", "넷", "다섯"]


def test_a_log_that_does_not_exist_during_a_rotation_is_waited_for(tmp_path: Path) -> None:
    """The old file is renamed before the new one is created."""
    path = tmp_path / "kafka.log"
    path.write_text("one\n")

    def rotate(_: float) -> None:
        if path.exists():
            path.rename(tmp_path / "kafka.log.1")
        else:
            path.write_text("two\n")

    assert list(islice(follow(path, 1, pause=rotate), 2)) == ["one", "two"]


def test_a_truncated_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    """For example, `> kafka.log` truncates it."""
    path = tmp_path / "kafka.log"
    path.write_text("a long line\n")

    def truncate(_: float) -> None:
        path.write_text("new\n")

    lines = follow(path, 1, pause=truncate)
    assert list(islice(lines, 2)) == ["a long line", "new"]


LINE = "마루가 답한다\n".encode()


@pytest.mark.parametrize("cut", range(1, len(LINE)))
def test_a_line_that_is_written_in_parts_is_returned_once(tmp_path: Path, cut: int) -> None:
    """The supervisor writes pieces that it reads from a pipe. A piece may end within a multi-byte character."""
    path = tmp_path / "worker-1.log"
    path.write_bytes(b"one\n")
    rest = [LINE[:cut], LINE[cut:], b"next\n"]

    def write(_: float) -> None:
        with path.open("ab") as log:
            log.write(rest.pop(0))

    assert list(islice(follow(path, 1, pause=write), 3)) == ["one", "마루가 답한다", "next"]


def test_an_incomplete_last_line_of_a_rotated_log_is_returned(tmp_path: Path) -> None:
    """A killed server may leave an incomplete line."""
    path = tmp_path / "kafka.log"
    path.write_bytes(b"one\nhal")

    def rotate(_: float) -> None:
        with path.open("ab") as log:
            log.write(b"f")
        path.rename(tmp_path / "kafka.log.1")
        path.write_bytes(b"new\n")

    assert list(islice(follow(path, 2, pause=rotate), 3)) == ["one", "half", "new"]
