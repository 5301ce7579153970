"""The movement rule: nobody is faster than running, leaves the world, or stands in an obstacle."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.settings import CHECKOUT
from world.gateway.places import load_places
from world.gateway.rules.movement import ARRIVAL_S, BODY_M, RUN_M_PER_S, SLACK_M, TOLERANCE, Walker

GROUND = load_places().ground
positions = st.tuples(st.floats(-300, 300), st.floats(-300, 300))
steps = st.lists(st.tuples(positions, st.floats(0, 5)), min_size=1, max_size=30)


@given(steps)
def test_a_client_cannot_cheat(moves: list[tuple[tuple[float, float], float]]) -> None:
    """Whatever a client sends, its player stays on the ground and within the distance that running allows."""
    now_s = 0.0
    walker = Walker(GROUND, 0, 13, now_s)
    for (x, z), pause_s in moves:
        now_s += pause_s
        before = walker.x, walker.z
        walker.move(x, z, now_s)
        assert math.hypot(walker.x, walker.z) <= GROUND.radius_m + 1e-6
        # Being pushed out of an obstacle may add its radius.
        allowed_m = SLACK_M + RUN_M_PER_S * TOLERANCE * max(1.0, pause_s) + 2 * (16 + BODY_M)
        assert math.dist(before, (walker.x, walker.z)) <= allowed_m


def test_an_honest_client_is_never_corrected() -> None:
    """It runs around the fountain for a minute, with packets that come in bursts of three."""
    walker, now_s = Walker(GROUND, 10, 0, 0.0), 0.0
    for frame in range(15 * 60):
        angle = frame / 15 * RUN_M_PER_S / 10
        if frame % 3 == 0:
            now_s = frame / 15
        assert walker.move(10 * math.cos(angle), 10 * math.sin(angle), now_s)


def test_a_teleport_is_cut_to_what_is_possible() -> None:
    """The player gets a part of the way, and the client must be corrected."""
    walker = Walker(GROUND, 0, 13, 0.0)
    assert not walker.move(0, 50, 0.1)
    assert 13 < walker.z < 16


def test_a_move_of_before_a_jump_takes_nobody_back() -> None:
    """It was on its way when the gateway moved the player. Nothing is corrected: the client is being told already."""
    walker = Walker(GROUND, 0, 13, 0.0)
    walker.jump_to(0, 40, 10.0)
    assert walker.move(0, 13.5, 10.1)
    assert (walker.x, walker.z) == (0, 40)
    assert walker.move(0, 40.4, 10.2)
    assert not walker.move(0, 13.5, 10.3), "the client knows of the jump by now"


def test_a_client_that_never_hears_of_a_jump_is_corrected() -> None:
    """Its moves are ignored for some seconds only."""
    walker = Walker(GROUND, 0, 13, 0.0)
    walker.jump_to(0, 40, 10.0)
    assert walker.move(0, 13.5, 10 + ARRIVAL_S - 0.1)
    assert not walker.move(0, 13.5, 10 + ARRIVAL_S)


def test_silence_does_not_save_up_distance() -> None:
    """After an hour a player may move as far as after a second."""
    walker = Walker(GROUND, 0, 13, 0.0)
    assert not walker.move(0, 35, 3600.0)
    assert walker.z < 13 + SLACK_M + RUN_M_PER_S * TOLERANCE + 0.1


@given(positions)
def test_the_nearest_free_position_is_free_or_at_the_edge(position: tuple[float, float]) -> None:
    """Nobody stands in the fountain, in a house or in a bot."""
    x, z = GROUND.nearest_free(*position)
    x, z = GROUND.nearest_free(x, z)
    for circle in GROUND.obstacles:
        on_way = any(math.dist(way.nearest(x, z), (x, z)) < 1e-6 for way in circle.walkways)
        assert on_way or math.hypot(x - circle.x, z - circle.z) >= circle.radius_m + BODY_M - 0.75


CASES = json.loads((CHECKOUT / "world/client/tests/ground_cases.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_the_rule_of_the_client(case: dict[str, list[float]]) -> None:
    """The client puts the same positions to the same spots; its bodies are a centimetre wider."""
    assert GROUND.nearest_free(*case["wanted"]) == pytest.approx(case["free"], abs=0.02)


def test_a_player_walks_to_the_end_of_the_pier_and_not_off_it() -> None:
    """From the shore over the water, and sideways as far as the planks reach."""
    walker, now_s = Walker(GROUND, 0, 43, 0.0), 0.0
    for step in range(1, 41):
        now_s += 0.1
        assert walker.move(0, 43 + step * 0.35, now_s)
    assert walker.z == 57
    now_s += 2
    assert not walker.move(6, 57, now_s)
    assert walker.x == pytest.approx(2.4)
