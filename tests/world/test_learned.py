"""The books of what bots have learned: of the version that answers, and read again later if that fails."""

import threading

import pytest

from tests.world.waiting import wait_until
from world.gateway.learned import RETRIES_S, Book, LearnedBooks

BOT = "ChatbotA"


class Library:
    """Books that a test changes, and a clock that it moves.

    Attributes:
        book: what is read; None fails, and an error is raised.
        reads: how often the book was read.
        told: versions and numbers of pairs that were told.
    """

    def __init__(self, book: Book | Exception | None) -> None:
        self.book, self.now_s = book, 0.0
        self.reads = 0
        self.told: list[tuple[int, int]] = []
        self.may_read = threading.Event()
        self.may_read.set()
        self.books = LearnedBooks(
            self._read, lambda _, version, count: self.told.append((version, count)), lambda: self.now_s
        )

    def _read(self, bot: str) -> Book | None:
        assert bot == BOT
        self.reads += 1
        assert self.may_read.wait(20)
        if isinstance(self.book, Exception):
            raise self.book
        return self.book

    def expect(self, version: int) -> None:
        """Expect a version, and wait until nothing is read any more."""
        self.books.expect(BOT, version)
        wait_until(lambda: not any(one.is_reading for one in self.books._try_by_bot.values()))


def book(version: int, total: int = 7) -> Book:
    return {"bot": BOT, "version": version, "total": total, "pairs": []}


def test_a_book_is_read_once() -> None:
    """The version that answers is looked at every few seconds."""
    library = Library(book(3))
    library.expect(0)
    for _ in range(3):
        library.expect(3)
    assert (library.reads, library.told) == (1, [(3, 7)])
    library.book = book(4, 9)
    library.expect(4)
    assert library.told == [(3, 7), (4, 9)]


def test_the_book_of_another_version_is_not_taken() -> None:
    """The champion may be newer than the version that answers. Once they are the same, the book is taken."""
    library = Library(book(3))
    library.expect(3)
    library.book = book(5)
    library.expect(4)
    assert library.told == [(3, 7)]
    assert library.books._book_by_bot[BOT]["version"] == 3
    library.expect(5)
    assert library.told == [(3, 7), (5, 7)]


@pytest.mark.parametrize(
    "found",
    [None, RuntimeError("a bug"), book(2), {"bot": BOT, "version": 3}, {"bot": BOT}, [], book(3) | {"total": "x"}],
)
def test_after_failures_it_waits_for_minutes(found: Book | Exception | None) -> None:
    """Each try starts a process, and HDFS or MLflow may be away for long."""
    library = Library(found)
    for number, pause_s in enumerate([*RETRIES_S, RETRIES_S[-1]], start=1):
        library.expect(3)
        library.now_s += pause_s - 0.1
        library.expect(3)
        assert library.reads == number
        library.now_s += 0.1
    assert RETRIES_S[-1] >= 300
    library.book = book(3)
    library.expect(3)
    assert library.told == [(3, 7)]


def test_a_book_that_takes_long_is_read_once() -> None:
    """And after a stop, none is."""
    library = Library(book(3))
    library.may_read.clear()
    for _ in range(3):
        library.books.expect(BOT, 3)
    wait_until(lambda: library.reads == 1)
    library.books.stop()
    library.books.expect(BOT, 4)
    library.may_read.set()
    wait_until(lambda: bool(library.told))
    assert library.reads == 1
