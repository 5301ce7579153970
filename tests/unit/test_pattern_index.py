"""The pattern index finds the same matches as `re`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.safety.crisis_rules import crisis_rules, read_rules
from kogpt2_chat.domain.text.pattern_index import PatternIndex

PATTERNS = [
    r"가(?:나|다)?라",
    r"(?:가|나)?다+|라",
    r"(?<!가)나[다-라]",
    r"[가나]{2}(?!라)",
    r"\b라\d|(?:^|[^가])다나",
    r"(?:|가)나|다\.라",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=st.text(alphabet="가나다라1. "))
def test_the_index_has_neither_missing_nor_extra_matches(pattern, text):
    """Matches begin at the same positions as those of `re`."""
    actual = {start for start, _ in PatternIndex([pattern]).spans(text)}
    compiled = re.compile(pattern)
    expected = {start for start in range(len(text)) if (found := compiled.match(text, start)) and found.end() > start}
    assert actual == expected


def test_every_rule_compiles_and_begins_with_a_known_letter():
    """A rule that can begin with any character would be tried at every position of every text."""
    for section, patterns in crisis_rules().items():
        index = PatternIndex(patterns)
        anywhere, by_pair = index._index
        assert not anywhere, f"{section}: {anywhere[0]._source}"
        for alternatives in by_pair.values():
            for alternative in alternatives:
                assert not alternative.compiled.match(""), alternative._source


@pytest.mark.parametrize("content", ["가나다", "[frame]\n%WHO%가"])
def test_a_rule_without_a_section_or_with_an_unknown_name_is_refused(content):
    """Otherwise the rule would be dropped silently."""
    with pytest.raises(ValueError, match="section|WHO"):
        list(read_rules(content))
