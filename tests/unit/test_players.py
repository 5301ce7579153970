"""Who is one player: ids as people and programs write them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat.players import kept_player, player_id, player_key
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
    """One person cannot agree with herself by an invisible character, nor by a prefix."""
    assert player_key(name) == "하늘"


@pytest.mark.parametrize("other", ["하늘이", "하 늘", "바다", "Legacy:하늘", "x:하늘", ""])
def test_other_names_are_other_players(other):
    """What can be seen makes a difference."""
    assert player_key(other) != player_key("하늘")


def test_an_id_goes_before_the_sender():
    """An id of which nothing can be seen is none."""
    assert player_id("p-1\u200b", "하늘") == "p-1"
    assert player_id(None, " 하늘\u200b") == "legacy:하늘"
    assert player_id("\u200b", "하늘") == "legacy:하늘"


@pytest.mark.parametrize("detail", ["010-1234-5678", "maru.lee@example.com"])
def test_a_player_named_by_a_personal_detail_is_kept_without_it(detail):
    """Two such players stay two, and each is the same one before and after, with and without the prefix."""
    kept = kept_player(f"legacy:{detail}")
    assert detail not in kept
    assert kept.startswith("legacy:[")
    assert kept_player(kept) == kept
    assert player_key(kept) == player_key(detail) == player_key(f"legacy:{detail}")
    assert player_key(detail) != player_key(detail.replace("1", "2").replace("maru", "haru"))


_BLANK = ["\u3164", "\u3164\u3164", "\u2800", "\u200b", "\u3000", "\ufe0f"]
"""Nicknames that show nothing; the first is the usual one of Korean games."""


def test_each_blank_nickname_is_a_player_of_its_own():
    """Else they would be one player, who consents for all of them, and none of whom can be struck out."""
    keys = {player_key(f"legacy:{name}") for name in _BLANK}
    assert len(keys) == len(_BLANK)
    assert "" not in keys


@pytest.mark.parametrize("name", _BLANK)
def test_a_blank_nickname_is_kept_as_something_that_can_be_read(name):
    """With and without the prefix, as it came and as it was kept, of any release."""
    kept = player_id(None, name)
    assert kept.startswith("legacy:[보이지 않는 이름]#")
    assert kept_player(kept) == kept == kept_player(f"legacy:{name}")
    assert player_key(kept) == player_key(name) == player_key(f" {name}\n") == player_key(f"legacy:{name}")


@pytest.mark.parametrize("name", ["", " ", "\n", "legacy:", "legacy: "])
def test_no_name_at_all_is_no_player(name):
    """Nobody; compared with nobody."""
    assert player_key(name) == ""


@given(st.text(), st.none() | st.text())
def test_a_key_is_its_own_key(sender, sender_id):
    """Ids of the lake go through the same function as new ones, as often as they are read."""
    kept = player_id(sender_id, sender)
    assert player_key(player_key(kept)) == player_key(kept)
    assert player_id(kept, "x") == kept or not kept


@pytest.mark.parametrize("piece", ["\u0300\u0316", "\u0f73", "\uff9e\u0316", "legacy:", "\u200b", "가"])
def test_keys_take_time_linear_in_the_name(piece):
    """Twenty times the name takes about twenty times the work, not four hundred times."""
    assert growth(player_key, piece) < 100
