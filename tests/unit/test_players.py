"""Player ids and keys: which spellings belong to the same player."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat.players import masked_player, player_id, player_key
from tests.growth import growth


@pytest.mark.parametrize(
    "name",
    [
        "하늘",
        unicodedata.normalize("NFD", "하늘"),
        " 하늘\n",
        "하늘\u200b",
        "\ufeff하\u2060늘",
        "하늘\ufe0f",
        "하늘\u3164",
        "legacy:하늘",
        "legacy: 하늘",
        "\u200blegacy:하늘\u200b",
        "legacy:legacy:하늘",
    ],
)
def test_names_that_look_alike_are_one_player(name):
    """A person cannot vote twice by adding an invisible character or a prefix."""
    assert player_key(name) == "하늘"


@pytest.mark.parametrize("other", ["하늘이", "하 늘", "바다", "Legacy:하늘", "x:하늘", ""])
def test_other_names_are_other_players(other):
    """Names with a visible difference have different keys."""
    assert player_key(other) != player_key("하늘")


def test_the_sender_id_has_priority_over_the_sender():
    """An id without visible characters does not count."""
    assert player_id("p-1\u200b", "하늘") == "p-1"
    assert player_id(None, " 하늘\u200b") == "legacy:하늘"
    assert player_id("\u200b", "하늘") == "legacy:하늘"


@pytest.mark.parametrize("detail", ["010-1234-5678", "maru.lee@example.com"])
def test_personal_data_in_a_player_id_is_masked(detail):
    """Different players stay different, and a player's key is the same before and after masking and with a prefix."""
    stored = masked_player(f"legacy:{detail}")
    assert detail not in stored
    assert stored.startswith("legacy:[")
    assert masked_player(stored) == stored
    assert player_key(stored) == player_key(detail) == player_key(f"legacy:{detail}")
    assert player_key(detail) != player_key(detail.replace("1", "2").replace("maru", "haru"))


_BLANK = ["\u3164", "\u3164\u3164", "\u2800", "\u200b", "\u3000", "\ufe0f"]
"""Nicknames without visible characters; the first is common in Korean games."""


def test_each_invisible_nickname_is_a_different_player():
    """Otherwise one of them would consent for all, and none could be excluded separately."""
    keys = {player_key(f"legacy:{name}") for name in _BLANK}
    assert len(keys) == len(_BLANK)
    assert "" not in keys


@pytest.mark.parametrize("name", _BLANK)
def test_an_invisible_nickname_is_stored_as_a_readable_placeholder(name):
    """The key is the same with and without the prefix, and before and after storing."""
    stored = player_id(None, name)
    assert stored.startswith("legacy:[보이지 않는 이름]#")
    assert masked_player(stored) == stored == masked_player(f"legacy:{name}")
    assert player_key(stored) == player_key(name) == player_key(f" {name}\n") == player_key(f"legacy:{name}")


@pytest.mark.parametrize("name", ["", " ", "\n", "legacy:", "legacy: "])
def test_an_empty_name_has_an_empty_key(name):
    """An empty key does not identify a player."""
    assert player_key(name) == ""


@given(st.text(), st.none() | st.text())
def test_the_key_function_is_idempotent(sender, sender_id):
    """Stored ids go through the same function as new ones each time they are read."""
    stored = player_id(sender_id, sender)
    assert player_key(player_key(stored)) == player_key(stored)
    assert player_id(stored, "x") == stored or not stored


@pytest.mark.parametrize("piece", ["\u0300\u0316", "\u0f73", "\uff9e\u0316", "legacy:", "\u200b", "가"])
def test_keys_take_time_linear_in_the_name(piece):
    """Twenty times the name takes about twenty times the work, not four hundred times."""
    assert growth(player_key, piece) < 100
