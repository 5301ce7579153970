"""`stack logs -f` over everything that happens to a log."""

from itertools import islice
from pathlib import Path

import pytest

from kogpt2_chat.stack.log_tail import follow


def test_a_log_that_is_turned_over_is_followed(tmp_path: Path) -> None:
    """The rest of the old file, then the new one from its beginning, each line once."""
    path = tmp_path / "kafka.log"
    path.write_text("하나\n둘\n", encoding="utf-8")
    lines = follow(path, 1, pause=lambda _: None)
    assert next(lines) == "둘"
    with path.open("a", encoding="utf-8") as old:
        path.rename(tmp_path / "kafka.log.1")
        old.write("셋\n")
    path.write_text("넷\n다섯\n", encoding="utf-8")
    assert list(islice(lines, 3)) == ["셋", "넷", "다섯"]


def test_between_the_two_steps_of_turning_over_it_waits(tmp_path: Path) -> None:
    """For a moment there is no file of that name."""
    path = tmp_path / "kafka.log"
    path.write_text("one\n")

    def turn(_: float) -> None:
        if path.exists():
            path.rename(tmp_path / "kafka.log.1")
        else:
            path.write_text("two\n")

    assert list(islice(follow(path, 1, pause=turn), 2)) == ["one", "two"]


def test_a_log_that_is_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    """As `> kafka.log` does."""
    path = tmp_path / "kafka.log"
    path.write_text("a long line\n")

    def empty(_: float) -> None:
        path.write_text("new\n")

    lines = follow(path, 1, pause=empty)
    assert list(islice(lines, 2)) == ["a long line", "new"]


LETTERS = "마루가 답한다\n".encode()


@pytest.mark.parametrize("cut", range(1, len(LETTERS)))
def test_a_line_that_is_written_in_pieces_is_one(tmp_path: Path, cut: int) -> None:
    """The supervisor writes what a pipe gave it, and that may end within a letter."""
    path = tmp_path / "worker-1.log"
    path.write_bytes(b"one\n")
    rest = [LETTERS[:cut], LETTERS[cut:], b"next\n"]

    def write(_: float) -> None:
        with path.open("ab") as log:
            log.write(rest.pop(0))

    assert list(islice(follow(path, 1, pause=write), 3)) == ["one", "마루가 답한다", "next"]


def test_the_last_words_of_a_log_that_is_turned_over_come_without_their_line_end(tmp_path: Path) -> None:
    """A server that was killed ends within a line; so may what is there at the beginning."""
    path = tmp_path / "kafka.log"
    path.write_bytes(b"one\nhal")

    def turn(_: float) -> None:
        with path.open("ab") as log:
            log.write(b"f")
        path.rename(tmp_path / "kafka.log.1")
        path.write_bytes(b"new\n")

    assert list(islice(follow(path, 2, pause=turn), 3)) == ["one", "half", "new"]
