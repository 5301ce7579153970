"""The file of places agrees with the corpora and with itself."""

import csv
import math

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import CHECKOUT
from world.gateway.places import Place, load_places
from world.gateway.rooms.rooms import PORTAL_REACH_M

PLACES = load_places()
BY_ID = {place.id: place for place in PLACES.places}
DIRECTIONS = {"남쪽": (0, 1), "서쪽": (-1, 0), "북쪽": (0, -1), "동쪽": (1, 0)}


def answers() -> list[str]:
    lines = []
    for bot in BOT_IDS:
        with (CHECKOUT / "corpora" / bot / "seed.csv").open(encoding="utf-8-sig") as file:
            lines += [row["question"] + " " + row["answer"] for row in csv.DictReader(file)]
    return lines


@pytest.mark.parametrize("place", PLACES.places, ids=lambda place: place.ko)
def test_bots_know_every_place(place: Place) -> None:
    """Each name occurs in what the bots say, or in what the demo's players teach."""
    taught = (CHECKOUT / "src/kogpt2_chat/demo/teaching.json").read_text("utf-8")
    assert any(place.ko in line for line in [*answers(), taught])


@pytest.mark.parametrize("place", [place for place in PLACES.places if place.direction_ko], ids=lambda place: place.ko)
def test_places_lie_where_the_bots_send_players(place: Place) -> None:
    """A sentence with the place and one direction names the right one, and the place lies there."""
    named = {
        word
        for line in answers()
        if place.ko in line
        for word in DIRECTIONS
        if word in line and "은하광장" not in place.ko
    }
    others = {other.ko for other in PLACES.places if other is not place}
    single = {
        word
        for line in answers()
        if place.ko in line and not any(other in line for other in others - {"은하광장"})
        for word in DIRECTIONS
        if word in line
    }
    assert place.direction_ko in single
    assert single <= {place.direction_ko} or place.id == "hill", (single, named)
    x, z = DIRECTIONS[place.direction_ko]
    distance = math.hypot(place.x, place.z)
    assert (place.x * x + place.z * z) / distance > 0.9


def test_every_bot_has_a_stand_in_its_place() -> None:
    """마루 by the fountain, as it says."""
    assert {stand.bot for stand in PLACES.bots} == set(BOT_IDS)
    for stand in PLACES.bots:
        place = BY_ID[stand.place]
        assert math.hypot(stand.x - place.x, stand.z - place.z) <= place.radius_m
    maru = next(stand for stand in PLACES.bots if stand.bot == "ChatbotA")
    assert maru.place == "plaza"
    assert math.hypot(maru.x, maru.z) < 10


def test_portals_stand_behind_the_fountain_and_lead_back() -> None:
    """Whoever arrives stands on free ground, in the place, near the portal back."""
    ground = PLACES.ground
    for portal in PLACES.portals:
        assert math.hypot(portal.x - BY_ID[portal.start].x, portal.z - BY_ID[portal.start].z) <= 30
        assert ground.nearest_free(portal.x, portal.z) == (portal.x, portal.z)
        assert ground.nearest_free(portal.arrive_x, portal.arrive_z) == (portal.arrive_x, portal.arrive_z)
        if portal.start == "plaza":
            assert portal.z < -5
            assert any(back.start == portal.to and back.to == "plaza" for back in PLACES.portals)
    assert {portal.to for portal in PLACES.portals} == set(BY_ID)


def test_arriving_does_not_lead_back_at_once() -> None:
    """The place of arrival is out of reach of every portal."""
    for portal in PLACES.portals:
        for other in PLACES.portals:
            assert math.hypot(other.x - portal.arrive_x, other.z - portal.arrive_z) > PORTAL_REACH_M, (portal, other)


def test_players_enter_on_free_ground() -> None:
    """All around the place of entry."""
    ground, spawn = PLACES.ground, PLACES.spawn
    for step in range(32):
        x = spawn.x + spawn.spread_m * math.sin(step)
        z = spawn.z + spawn.spread_m * math.cos(step)
        assert ground.nearest_free(x, z) == (x, z)
