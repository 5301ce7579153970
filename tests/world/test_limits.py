"""Rates, strikes and counts per address."""

from contextlib import suppress

import pytest

from world.gateway.refused import Refused
from world.gateway.rules.limits import (
    KEPT_S,
    MUTE_S,
    AddressLimits,
    ClientLimits,
    GuestLimits,
    LoginLimits,
    Rate,
    TokenBucket,
    counted_as,
)


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
    """The third message above the rate mutes the player for 30 s. A few more are forgiven; then the connection ends."""
    limits = ClientLimits(0.0)
    for _ in range(5):
        limits.check("chat", 0.0)
    for _ in range(3):
        with pytest.raises(Refused, match="too_fast"):
            limits.check("chat", 0.0)
    with pytest.raises(Refused) as refused:
        limits.check("ask", 1.0)
    assert (refused.value.reason, refused.value.wait_s) == ("muted", MUTE_S - 1)
    for _ in range(9):
        with pytest.raises(Refused, match="muted"):
            limits.check("chat", 2.0)
        assert not limits.should_close
    with pytest.raises(Refused, match="muted"):
        limits.check("chat", 2.0)
    assert limits.should_close
    limits.check("move", 3.0)
    assert not limits.should_close, "who has come back may walk until the mute is over"
    limits.check("chat", MUTE_S + 1)
    assert not limits.should_close


def test_a_muted_player_who_waits_is_not_closed() -> None:
    """The mute is over after 30 s, and within a minute the strikes are forgotten."""
    limits = ClientLimits(0.0)
    flood(limits, 8, 0.0)
    limits.check("chat", MUTE_S)
    flood(limits, 6, 61.0)
    with pytest.raises(Refused, match="too_fast"):
        limits.check("chat", 61.0)


def test_a_spammer_is_muted_again_and_then_closed() -> None:
    """After the first mute, the next message above the rate mutes at once; who goes on while muted is closed."""
    limits = ClientLimits(0.0)
    flood(limits, 8, 0.0)
    now_s = MUTE_S + 1
    flood(limits, 6, now_s)
    with pytest.raises(Refused, match="muted"):
        limits.check("chat", now_s)
    assert not limits.should_close
    flood(limits, 12, now_s)
    assert limits.should_close


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
    """A child that presses all keys is not sent away, even one that is muted."""
    limits = ClientLimits(0.0)
    for _ in range(50):
        with suppress(Refused):
            limits.check("social", 0.0)
        assert not limits.should_close
    limits.check("chat", 0.0)
    flood(limits, 8, 0.0)
    for _ in range(50):
        with suppress(Refused):
            limits.check("social", 1.0)
        assert not limits.should_close


def test_moves_that_are_too_fast_are_no_strikes() -> None:
    """After a pause of the network they arrive at once; the player may still talk."""
    limits = ClientLimits(0.0)
    for _ in range(30):
        limits.check("move", 0.0)
    for _ in range(100):
        with pytest.raises(Refused, match="too_fast"):
            limits.check("move", 0.0)
    limits.check("chat", 0.0)
    assert not limits.should_close


def test_a_player_may_ask_thirty_questions_a_minute() -> None:
    """One every two seconds, with a burst of two."""
    limits, asked = ClientLimits(0.0), 0
    for tenth in range(600):
        if tenth % 20 == 0:
            limits.check("ask", tenth / 10)
            asked += 1
    assert asked == 30


def test_limits_belong_to_the_guest() -> None:
    """Another seat or another name has the same ones; another guest has its own."""
    guests = GuestLimits()
    limits = guests.of("w-1", 0.0)
    flood(limits, 8, 0.0)
    with pytest.raises(Refused, match="muted"):
        guests.of("w-1", 1.0).check("chat", 1.0)
    guests.of("w-2", 1.0).check("chat", 1.0)


def test_limits_are_forgotten_when_they_no_longer_bind() -> None:
    """Those of a guest who plays stay, however many others come; memory is bounded."""
    guests = GuestLimits(most=100)
    playing = guests.of("w-playing", 0.0)
    for minute in range(30):
        now_s = minute * 60.0
        playing.check("move", now_s)
        for number in range(30):
            guests.of(f"w-{minute}-{number}", now_s)
        assert guests.of("w-playing", now_s) is playing
        assert len(guests) <= 101
    assert guests.of("w-playing", now_s + KEPT_S) is playing
    assert guests.of("w-playing", now_s + 2 * KEPT_S + 1) is not playing
    assert len(guests) == 1


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_client_counts_as_its_network(host: str, counted: str) -> None:
    """Providers give each customer at least 2^64 addresses; an IPv4 address in IPv6 clothes is the IPv4 address."""
    assert counted_as(host) == counted


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


def test_what_is_put_back_can_be_taken_again() -> None:
    """And no more than that."""
    bucket = TokenBucket(Rate(per_s=1, burst=2), 0.0)
    bucket.put_back()
    assert [bucket.take(0.0) for _ in range(3)] == [0, 0, 1]
    bucket.put_back()
    assert [bucket.take(0.0) for _ in range(2)] == [0, 1]


def test_wrong_tries_are_limited_per_address_and_overall() -> None:
    """What one limit refuses, the other one does not count."""
    limits = LoginLimits(per_address=Rate(per_s=0.1, burst=2), overall=Rate(per_s=0.5, burst=3))
    assert [limits.take("a", 0.0) for _ in range(4)] == [0, 0, 10, 10]
    assert [limits.take("b", 0.0) for _ in range(2)] == [0, 2]
    assert limits.take("b", 2.0) == 0, "the try that the overall limit refused did not count for the address"
    limits.put_back("b")
    assert limits.take("b", 2.0) == 0


def test_addresses_of_tries_are_forgotten() -> None:
    """Many addresses fill no memory; the overall limit holds for them."""
    limits = LoginLimits(overall=Rate(per_s=1, burst=1e9), most_addresses=10)
    for number in range(1000):
        assert limits.take(f"a{number}", 0.0) == 0
    assert len(limits._by_address) == 10
