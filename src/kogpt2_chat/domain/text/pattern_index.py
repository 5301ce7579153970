"""Search for hundreds of regular expressions: at each position, try those that can begin with the next two letters.

The ``re`` module tries all alternatives of a pattern at every position. This index stores each alternative under the
pairs of letters that it can begin with, which it derives from the pattern. An alternative is compiled when one of its
pairs first occurs in a text.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import compress, count
from operator import add, or_
from typing import Final

_ANY: Final = "\0"
"""Represents any letter in a beginning."""
_LENGTH: Final = 2
_LARGEST_CLASS: Final = 64
"""A character class with more letters is treated as any letter."""
_LOOKAROUND: Final = re.compile(r"\(\?(?:=|!|<=|<!)")
_GROUP: Final = re.compile(r"\((?:\?:)?")
_QUANTIFIER: Final = re.compile(r"[?*+]|\{\d*,?\d*\}")
# Shorter gaps only allow for a particle, so they are not tracked.
_GAP: Final = re.compile(r"(\.\{0?,(?:[3-9]|\d\d)\})\??")
_ZERO_WIDTH: Final = ("\\b", "^", "$")
_LETTERS_BY_ESCAPE: Final = {"\\d": frozenset("0123456789")}
_EMPTY: Final = frozenset({""})

Beginnings = frozenset[str]
"""The first two letters of each possible match. A shorter entry is a complete match."""


class PatternIndex:
    """An index of patterns by the letters that they can begin with.

    Args:
        patterns: regular expressions with literals, character classes, groups without names and lookarounds.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Find the matches of all patterns, in the order of their start; matches may overlap.

        Args:
            text: the text to search.

        Yields:
            Matches, with an empty group at the end of each gap (``.{0,8}``) in the pattern. For a pattern with gaps,
            both the match with the longest and the match with the shortest gaps.
        """
        anywhere, by_pair = self._index
        none: tuple[_Alternative, ...] = ()
        pairs = list(map(add, text, text[1:] + " "))
        # These iterators skip nearly all positions without executing Python code for each of them.
        is_indexed = map(or_, map(by_pair.__contains__, pairs), map(by_pair.__contains__, text))
        for start in range(len(text)) if anywhere else compress(count(), is_indexed):
            for alternative in (*by_pair.get(pairs[start], none), *by_pair.get(text[start], none), *anywhere):
                found = alternative.compiled.match(text, start)
                if found is None or found.end() == start:
                    continue
                yield found
                if found.re.groups and (shortest := alternative.shortest.match(text, start)):
                    yield shortest

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Return the ranges of the matches, in the order of their start; they may overlap."""
        return (found.span() for found in self.matches(text))

    def is_in(self, text: str) -> bool:
        """Check whether any pattern matches anywhere."""
        return next(self.matches(text), None) is not None

    @cached_property
    def _index(self) -> tuple[list["_Alternative"], dict[str, list["_Alternative"]]]:
        """The alternatives that can begin with any letter, and the others by their first pair or single letter."""
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
        """The pattern with the shortest gaps."""
        return re.compile(_GAP.sub(r"\1?()", self._source))


def _alternatives(pattern: str) -> list[str]:
    """Split a pattern at its outermost ``|``."""
    cuts, depth, position = [0], 0, 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            position += 1
        elif char == "[":
            position = _end_of_class(pattern, position) - 1
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and not depth:
            cuts.append(position + 1)
        position += 1
    return [pattern[start : end - 1] for start, end in zip(cuts, [*cuts[1:], len(pattern) + 1], strict=True)]


def _beginnings(pattern: str) -> Beginnings:
    return frozenset().union(*(_sequence(alternative) for alternative in _alternatives(pattern)))


def _sequence(alternative: str) -> Beginnings:
    """Return the beginnings of a pattern without outer ``|``."""
    found, position = _EMPTY, 0
    while position < len(alternative) and any(len(beginning) < _LENGTH for beginning in found):
        position, following = _atom(alternative, position)
        quantifier = _QUANTIFIER.match(alternative, position)
        if quantifier:
            position = quantifier.end()
            following = _repeat(following, quantifier.group())
        found = _concatenate(found, following)
    return found


def _concatenate(first: Beginnings, second: Beginnings) -> Beginnings:
    return frozenset((before + after)[:_LENGTH] for before in first for after in second)


def _repeat(once: Beginnings, quantifier: str) -> Beginnings:
    """Return the beginnings of a repeated atom; more than two repetitions add no new beginnings."""
    low, _, high = quantifier.strip("{}").partition(",")
    least = int(low) if low.isdigit() else int(quantifier == "+")
    most = 1 if quantifier == "?" or high == "1" else _LENGTH
    found: Beginnings = frozenset()
    repeated = _EMPTY
    for repetitions in range(max(most, least) + 1):
        found = found | repeated if repetitions >= least else found
        repeated = _concatenate(repeated, once)
    return found


def _atom(pattern: str, start: int) -> tuple[int, Beginnings]:
    """Return the end of the atom at a position, and its beginnings."""
    char, pair = pattern[start], pattern[start : start + 2]
    if pair in _ZERO_WIDTH or char in _ZERO_WIDTH:
        return start + (2 if pair in _ZERO_WIDTH else 1), _EMPTY
    if char == "(":
        return _group(pattern, start)
    if char == "[":
        end = _end_of_class(pattern, start)
        return end, _class_letters(pattern[start + 1 : end - 1])
    if char == ".":
        return start + 1, frozenset(_ANY)
    if char == "\\":
        literal = frozenset(pair[1] if not pair[1].isalnum() else _ANY)
        return start + 2, _LETTERS_BY_ESCAPE.get(pair, literal)
    return start + 1, frozenset(char)


def _group(pattern: str, start: int) -> tuple[int, Beginnings]:
    end = _end_of_group(pattern, start)
    if _LOOKAROUND.match(pattern, start):
        return end, _EMPTY
    opening = _GROUP.match(pattern, start)
    return end, _beginnings(pattern[opening.end() if opening else start + 1 : end - 1])


def _end_of_group(pattern: str, start: int) -> int:
    depth, position = 0, start
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            position += 1
        elif char == "[":
            position = _end_of_class(pattern, position) - 1
        elif char in "()":
            depth += 1 if char == "(" else -1
            if not depth:
                return position + 1
        position += 1
    raise ValueError(f"a group has no closing parenthesis in the pattern {pattern[:40]!r}")


def _end_of_class(pattern: str, start: int) -> int:
    position = start + (2 if pattern[start + 1] == "^" else 1)
    while pattern[position] != "]":
        position += 2 if pattern[position] == "\\" else 1
    return position + 1


def _class_letters(inner: str) -> Beginnings:
    if inner.startswith("^"):
        return frozenset(_ANY)
    letters, position = set(), 0
    while position < len(inner):
        if inner[position + 1 : position + 2] == "-" and position + 2 < len(inner):
            letters |= {chr(code) for code in range(ord(inner[position]), ord(inner[position + 2]) + 1)}
            position += 3
        else:
            letters.add(inner[position])
            position += 1
    return frozenset(letters) if len(letters) <= _LARGEST_CLASS else frozenset(_ANY)
