"""Rates, strikes and counts per address."""

from contextlib import suppress

import pytest

from world.gateway.refused import Refused
from world.gateway.rules.limits import MUTE_S, AddressLimits, ClientLimits, Rate, TokenBucket


def test_a_bucket_allows_its_rate_and_a_burst() -> None:
    """After the burst, one more per period."""
    bucket = TokenBucket(Rate(per_s=2, burst=3), 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(0.5) == 0
    assert bucket.take(0.6) == pytest.approx(0.4)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    """Monotonic clocks of different threads may differ by a little."""
    bucket = TokenBucket(Rate(per_s=1, burst=1), 10.0)
    assert bucket.take(10.0) == 0
    assert bucket.take(9.0) > 0


def test_strikes_mute_and_then_close() -> None:
    """The third message above the rate mutes the player for 30 s; after the next one the connection is closed."""
    limits = ClientLimits(0.0)
    for _ in range(5):
        limits.check("chat", 0.0)
    for _ in range(3):
        with pytest.raises(Refused, match="too_fast"):
            limits.check("chat", 0.0)
    assert not limits.should_close(0.0)
    with pytest.raises(Refused) as refused:
        limits.check("ask", 1.0)
    assert (refused.value.reason, refused.value.wait_s) == ("muted", MUTE_S - 1)
    limits.check("chat", MUTE_S + 1)


def test_a_spammer_is_muted_again_and_then_closed() -> None:
    """After the first mute, the next message above the rate mutes at once; who goes on while muted is closed."""
    limits = ClientLimits(0.0)
    flood(limits, 8, 0.0)
    now_s = MUTE_S + 1
    flood(limits, 6, now_s)
    with pytest.raises(Refused, match="muted"):
        limits.check("chat", now_s)
    flood(limits, 12, now_s)
    assert limits.should_close(now_s)


def flood(limits: ClientLimits, count: int, now_s: float) -> None:
    for _ in range(count):
        with suppress(Refused):
            limits.check("chat", now_s)


def test_reports_have_a_rate_of_their_own() -> None:
    """Five at once, then one per minute: each writes a record that is kept for a month."""
    limits = ClientLimits(0.0)
    for _ in range(5):
        limits.check("report", 0.0)
    with pytest.raises(Refused, match="too_fast"):
        limits.check("report", 30.0)
    limits.check("report", 61.0)


def test_gestures_that_are_too_fast_are_no_strikes() -> None:
    """A child that presses all keys is not sent away."""
    limits = ClientLimits(0.0)
    for _ in range(50):
        with suppress(Refused):
            limits.check("social", 0.0)
    limits.check("chat", 0.0)


def test_moves_that_are_too_fast_are_no_strikes() -> None:
    """After a pause of the network they arrive at once; the player may still talk."""
    limits = ClientLimits(0.0)
    for _ in range(30):
        limits.check("move", 0.0)
    for _ in range(100):
        with pytest.raises(Refused, match="too_fast"):
            limits.check("move", 0.0)
    limits.check("chat", 0.0)
    assert not limits.should_close(0.0)


def test_a_player_may_ask_thirty_questions_a_minute() -> None:
    """One every two seconds, with a burst of two."""
    limits, asked = ClientLimits(0.0), 0
    for tenth in range(600):
        if tenth % 20 == 0:
            limits.check("ask", tenth / 10)
            asked += 1
    assert asked == 30


def test_an_address_gets_so_many_ids_an_hour() -> None:
    """A second address is not concerned."""
    limits = AddressLimits(ids_per_hour=3, handshakes_per_minute=10, connections=2)
    for _ in range(3):
        limits.new_id("1.2.3.4", 0.0)
    with pytest.raises(Refused, match="too_many_ids"):
        limits.new_id("1.2.3.4", 1.0)
    limits.new_id("5.6.7.8", 1.0)
    limits.new_id("1.2.3.4", 1201.0)


def test_an_address_has_so_many_connections() -> None:
    """A closed one makes room. Handshakes are limited too, so that reconnecting at once does not help."""
    limits = AddressLimits(ids_per_hour=3, handshakes_per_minute=5, connections=2)
    limits.open("a", 0.0)
    limits.open("a", 0.0)
    with pytest.raises(Refused, match="busy"):
        limits.open("a", 0.0)
    limits.close("a")
    limits.open("a", 0.0)
    limits.close("a")
    limits.open("a", 0.0)
    limits.close("a")
    with pytest.raises(Refused, match="too_fast"):
        limits.open("a", 0.0)


def test_addresses_without_connections_are_forgotten() -> None:
    """Memory stays bounded, whatever comes."""
    limits = AddressLimits(ids_per_hour=3, handshakes_per_minute=5, connections=2, most_addresses=10)
    limits.open("kept", 0.0)
    for number in range(1000):
        limits.new_id(str(number), 0.0)
    assert len(limits._by_address) <= 11
    assert "kept" in limits._by_address
