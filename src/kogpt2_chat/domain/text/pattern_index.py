"""Many patterns searched at the cost of few: at each place only those are tried that can begin with its two letters.

An alternation of hundreds of patterns is tried whole at every letter. Here each alternative is filed under the pairs
of letters that it can begin with, which are read from the pattern itself, and compiled when one of them first turns up.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import compress, count
from operator import add, or_
from typing import Final

_ANY: Final = "\0"
"""Stands for any letter in a beginning."""
_LENGTH: Final = 2
_LARGEST_CLASS: Final = 64
"""A class of more letters is filed as any letter."""
_LOOKAROUND: Final = re.compile(r"\(\?(?:=|!|<=|<!)")
_GROUP: Final = re.compile(r"\((?:\?:)?")
_QUANTIFIER: Final = re.compile(r"[?*+]|\{\d*,?\d*\}")
# Shorter ones stand for a particle.
_GAP: Final = re.compile(r"(\.\{0?,(?:[3-9]|\d\d)\})\??")
_ZERO_WIDTH: Final = ("\\b", "^", "$")
_LETTERS_BY_ESCAPE: Final = {"\\d": frozenset("0123456789")}
_EMPTY: Final = frozenset({""})

Beginnings = frozenset[str]
"""The first letters of all that something matches, two at most; where fewer, it is all of it."""


class PatternIndex:
    """Patterns by the letters that they can begin with.

    Args:
        patterns: regular expressions of literals, classes, groups without names and lookarounds.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Any match of any of the patterns, by its beginning; they may overlap.

        Args:
            text: to search.

        Yields:
            Matches, each with an empty group where a gap (``.{0,8}``) of its pattern ends; where there are gaps, the
            match with the longest and the one with the shortest.
        """
        anywhere, by_pair = self._filed
        none: tuple[_Alternative, ...] = ()
        pairs = list(map(add, text, text[1:] + " "))
        # Nearly all places are passed over here, so that no line of Python is spent on one of them.
        is_filed = map(or_, map(by_pair.__contains__, pairs), map(by_pair.__contains__, text))
        for place in range(len(text)) if anywhere else compress(count(), is_filed):
            for alternative in (*by_pair.get(pairs[place], none), *by_pair.get(text[place], none), *anywhere):
                found = alternative.compiled.match(text, place)
                if found is None or found.end() == place:
                    continue
                yield found
                if found.re.groups and (shortest := alternative.shortest.match(text, place)):
                    yield shortest

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where any of the patterns matches, by its beginning; matches may overlap."""
        return (found.span() for found in self.matches(text))

    def is_in(self, text: str) -> bool:
        """Whether any of the patterns matches anywhere."""
        return next(self.matches(text), None) is not None

    @cached_property
    def _filed(self) -> tuple[list["_Alternative"], dict[str, list["_Alternative"]]]:
        """What can begin with anything; and the others by the pair, or the letter, that they begin with."""
        anywhere: list[_Alternative] = []
        by_pair: dict[str, list[_Alternative]] = defaultdict(list)
        for source in dict.fromkeys(source for pattern in self._patterns for source in _alternatives(pattern)):
            alternative = _Alternative(source)
            beginnings = _sequence(source)
            if any(beginning[:1] in ("", _ANY) for beginning in beginnings):
                anywhere.append(alternative)
                continue
            for key in {beginning if _ANY not in beginning else beginning[0] for beginning in beginnings}:
                by_pair[key].append(alternative)
        return anywhere, dict(by_pair)


class _Alternative:
    """One alternative of a pattern."""

    def __init__(self, source: str) -> None:
        self._source = source

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(_GAP.sub(r"\1()", self._source))

    @cached_property
    def shortest(self) -> re.Pattern[str]:
        """The same with the shortest gaps."""
        return re.compile(_GAP.sub(r"\1?()", self._source))


def _alternatives(pattern: str) -> list[str]:
    """A pattern cut at its outermost bars."""
    cuts, depth, place = [0], 0, 0
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 1
        elif char == "[":
            place = _end_of_class(pattern, place) - 1
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and not depth:
            cuts.append(place + 1)
        place += 1
    return [pattern[start : end - 1] for start, end in zip(cuts, [*cuts[1:], len(pattern) + 1], strict=True)]


def _beginnings(pattern: str) -> Beginnings:
    return frozenset().union(*(_sequence(alternative) for alternative in _alternatives(pattern)))


def _sequence(alternative: str) -> Beginnings:
    """What a pattern without outer bars can begin with."""
    found, place = _EMPTY, 0
    while place < len(alternative) and any(len(beginning) < _LENGTH for beginning in found):
        place, following = _atom(alternative, place)
        quantifier = _QUANTIFIER.match(alternative, place)
        if quantifier:
            place = quantifier.end()
            following = _repeated(following, quantifier.group())
        found = _joined(found, following)
    return found


def _joined(first: Beginnings, second: Beginnings) -> Beginnings:
    return frozenset((before + after)[:_LENGTH] for before in first for after in second)


def _repeated(once: Beginnings, quantifier: str) -> Beginnings:
    """What something begins with that is repeated; more often than twice shows no new letters."""
    low, _, high = quantifier.strip("{}").partition(",")
    least = int(low) if low.isdigit() else int(quantifier == "+")
    most = 1 if quantifier == "?" or high == "1" else _LENGTH
    found: Beginnings = frozenset()
    times = _EMPTY
    for times_over in range(max(most, least) + 1):
        found = found | times if times_over >= least else found
        times = _joined(times, once)
    return found


def _atom(pattern: str, place: int) -> tuple[int, Beginnings]:
    """Where the atom at a place ends, and what it can begin with."""
    char, pair = pattern[place], pattern[place : place + 2]
    if pair in _ZERO_WIDTH or char in _ZERO_WIDTH:
        return place + (2 if pair in _ZERO_WIDTH else 1), _EMPTY
    if char == "(":
        return _group(pattern, place)
    if char == "[":
        end = _end_of_class(pattern, place)
        return end, _class_letters(pattern[place + 1 : end - 1])
    if char == ".":
        return place + 1, frozenset(_ANY)
    if char == "\\":
        literal = frozenset(pair[1] if not pair[1].isalnum() else _ANY)
        return place + 2, _LETTERS_BY_ESCAPE.get(pair, literal)
    return place + 1, frozenset(char)


def _group(pattern: str, place: int) -> tuple[int, Beginnings]:
    end = _end_of_group(pattern, place)
    if _LOOKAROUND.match(pattern, place):
        return end, _EMPTY
    opening = _GROUP.match(pattern, place)
    return end, _beginnings(pattern[opening.end() if opening else place + 1 : end - 1])


def _end_of_group(pattern: str, place: int) -> int:
    depth = 0
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 1
        elif char == "[":
            place = _end_of_class(pattern, place) - 1
        elif char in "()":
            depth += 1 if char == "(" else -1
            if not depth:
                return place + 1
        place += 1
    raise ValueError(f"no closing bracket in the pattern {pattern[:40]!r}")


def _end_of_class(pattern: str, place: int) -> int:
    place += 2 if pattern[place + 1] == "^" else 1
    while pattern[place] != "]":
        place += 2 if pattern[place] == "\\" else 1
    return place + 1


def _class_letters(inner: str) -> Beginnings:
    if inner.startswith("^"):
        return frozenset(_ANY)
    letters, place = set(), 0
    while place < len(inner):
        if inner[place + 1 : place + 2] == "-" and place + 2 < len(inner):
            letters |= {chr(code) for code in range(ord(inner[place]), ord(inner[place + 2]) + 1)}
            place += 3
        else:
            letters.add(inner[place])
            place += 1
    return frozenset(letters) if len(letters) <= _LARGEST_CLASS else frozenset(_ANY)
