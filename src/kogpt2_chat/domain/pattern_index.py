"""Many patterns searched at the cost of few: at each letter only those are tried that can begin with it.

An alternation of hundreds of patterns is tried whole at every letter. Here each alternative is filed under the
letters that it can begin with, which are read from the pattern itself, and compiled when one of them first turns up.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final

_LOOKAROUND: Final = re.compile(r"\(\?(?:=|!|<=|<!)")
_GROUP: Final = re.compile(r"\((?:\?:)?")
_OPTIONAL: Final = re.compile(r"[?*]|\{0?,\d*\}")
_QUANTIFIER: Final = re.compile(r"[?*+]|\{\d*,?\d*\}")
_ZERO_WIDTH: Final = ("\\b", "^", "$")
_LETTERS_BY_ESCAPE: Final = {"\\d": frozenset("0123456789")}

Heads = frozenset[str] | None
"""Letters that something can begin with; None for any."""


class PatternIndex:
    """Patterns by the letters that they can begin with.

    Args:
        patterns: regular expressions of literals, classes, groups without names and lookarounds.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where any of the patterns matches, by its beginning; matches may overlap."""
        anywhere, by_letter = self._filed
        for place, letter in enumerate(text):
            for alternative in (*by_letter.get(letter, ()), *anywhere):
                found = alternative.compiled.match(text, place)
                if found is not None and found.end() > place:
                    yield found.span()

    def is_in(self, text: str) -> bool:
        """Whether any of the patterns matches anywhere."""
        return next(self.spans(text), None) is not None

    @cached_property
    def _filed(self) -> tuple[list["_Alternative"], dict[str, list["_Alternative"]]]:
        anywhere: list[_Alternative] = []
        by_letter: dict[str, list[_Alternative]] = defaultdict(list)
        for pattern in self._patterns:
            for source in _alternatives(pattern):
                heads, is_nullable = _heads(source)
                alternative = _Alternative(source)
                if heads is None or is_nullable:
                    anywhere.append(alternative)
                    continue
                for letter in heads:
                    by_letter[letter].append(alternative)
        return anywhere, by_letter


class _Alternative:
    """One alternative of a pattern."""

    def __init__(self, source: str) -> None:
        self._source = source

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._source)


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


def _heads(alternative: str) -> tuple[Heads, bool]:
    """The letters that an alternative can begin with, and whether it can be empty."""
    heads: set[str] = set()
    place = 0
    while place < len(alternative):
        end, found, is_optional = _atom(alternative, place)
        quantifier = _QUANTIFIER.match(alternative, end)
        is_optional = is_optional or _OPTIONAL.match(alternative, end) is not None
        if found is None:
            return None, False
        heads |= found
        if not is_optional:
            return frozenset(heads), False
        place = quantifier.end() if quantifier else end
    return frozenset(heads), True


def _atom(pattern: str, place: int) -> tuple[int, Heads, bool]:
    """Where the atom at a place ends, what it can begin with, and whether it can be empty."""
    char, pair = pattern[place], pattern[place : place + 2]
    if pair in _ZERO_WIDTH or char in _ZERO_WIDTH:
        return place + (2 if pair in _ZERO_WIDTH else 1), frozenset(), True
    if char == "(":
        return _group(pattern, place)
    if char == "[":
        end = _end_of_class(pattern, place)
        return end, _class_letters(pattern[place + 1 : end - 1]), False
    if char == ".":
        return place + 1, None, False
    if char == "\\":
        return place + 2, _LETTERS_BY_ESCAPE.get(pair, frozenset(pair[1]) if not pair[1].isalnum() else None), False
    return place + 1, frozenset(char), False


def _group(pattern: str, place: int) -> tuple[int, Heads, bool]:
    end = _end_of_group(pattern, place)
    if _LOOKAROUND.match(pattern, place):
        return end, frozenset(), True
    opening = _GROUP.match(pattern, place)
    inner = pattern[opening.end() if opening else place + 1 : end - 1]
    heads: set[str] = set()
    is_optional = False
    for alternative in _alternatives(inner):
        found, can_be_empty = _heads(alternative)
        if found is None:
            return end, None, False
        heads |= found
        is_optional = is_optional or can_be_empty
    return end, frozenset(heads), is_optional


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


def _class_letters(inner: str) -> Heads:
    if inner.startswith("^"):
        return None
    letters, place = set(), 0
    while place < len(inner):
        if inner[place + 1 : place + 2] == "-" and place + 2 < len(inner):
            letters |= {chr(code) for code in range(ord(inner[place]), ord(inner[place + 2]) + 1)}
            place += 3
        else:
            letters.add(inner[place])
            place += 1
    return frozenset(letters)
