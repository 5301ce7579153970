"""The book of what bots have learned: it is always that of the version that answers."""

import threading

import pytest

from tests.world.waiting import wait_until
from world.gateway import learned
from world.gateway.learned import Book, LearnedBooks


def book_of(version: int) -> Book:
    return {"bot": "ChatbotA", "version": version, "total": version, "pairs": []}


def test_a_book_that_arrives_late_does_not_replace_the_next_one() -> None:
    """A version may be rolled back while its book is being read."""
    told: list[int] = []
    may_end = threading.Event()

    def read(bot: str, version: int) -> Book | None:
        del bot
        if version == 2:
            may_end.wait(20)
        return book_of(version)

    books = LearnedBooks(read, lambda _bot, version, _count: told.append(version))
    books.expect("ChatbotA", 2)
    books.expect("ChatbotA", 1)
    may_end.set()
    wait_until(lambda: 1 in told)
    assert told == [1]
    assert books._book_by_bot["ChatbotA"] == book_of(1)


def test_a_book_that_cannot_be_read_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next look at the facts asks for it."""
    monkeypatch.setattr(learned, "_RETRY_S", 0.01)
    tries: list[int] = []

    def read(bot: str, version: int) -> Book | None:
        del bot
        tries.append(version)
        return book_of(version) if len(tries) > 2 else None

    told: list[int] = []
    books = LearnedBooks(read, lambda _bot, version, _count: told.append(version))

    def looked() -> bool:
        books.expect("ChatbotA", 4)
        return bool(told)

    wait_until(looked)
    assert tries == [4, 4, 4]
