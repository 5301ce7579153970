"""The directory of names and rooms over many gateways: all readers of the log agree."""

from hypothesis import example, given
from hypothesis import strategies as st

from world.gateway.rooms.directory import (
    SILENT_MS,
    Claim,
    DirectoryLog,
    Gone,
    Release,
    State,
    read_entry,
    write_entry,
)

GATEWAYS = ("gateway-1", "gateway-2", "gateway-3")


class Log:
    """A log, and the directory of a gateway that reads it."""

    def __init__(self) -> None:
        self.directory = DirectoryLog()
        self.entries: list[tuple[object, int, int]] = []
        self.at_ms = 0

    def write(self, entry, pass_ms: int = 100):
        self.at_ms += pass_ms
        offset = 2 * len(self.entries)  # transactions leave holes
        self.entries.append((entry, offset, self.at_ms))
        again = read_entry(write_entry(entry))
        assert again == entry
        return self.directory.read(again, offset, self.at_ms)

    def claim(self, gateway: str, name: str, guest: str):
        return self.write(Claim(id="x", gateway=gateway, name=name, guest=guest))

    def state(self, gateway: str, names: dict[str, str], *, seen: int | None = None, rooms=(), pass_ms: int = 100):
        seen = self.directory.offset if seen is None else seen
        self.write(State(gateway=gateway, url=f"http://{gateway}", seen=seen, names=names, rooms=list(rooms)), pass_ms)


def test_the_first_claim_wins() -> None:
    """Until the name is released."""
    log = Log()
    log.claim("gateway-1", "하늘", "a")
    log.claim("gateway-2", "하늘", "b")
    assert log.directory.holds("하늘", "a", "gateway-1")
    log.write(Release(gateway="gateway-2", name="하늘", guest="b"))
    assert log.directory.holds("하늘", "a", "gateway-1")
    log.write(Release(gateway="gateway-1", name="하늘", guest="a"))
    log.claim("gateway-2", "하늘", "b")
    assert log.directory.holds("하늘", "b", "gateway-2")


def test_a_guest_moves_to_another_gateway_with_its_name() -> None:
    """The former gateway is told, so that it can close the connection there."""
    log = Log()
    log.claim("gateway-1", "하늘", "a")
    moved = log.claim("gateway-2", "하늘", "a")
    assert (moved.guest, moved.gateway) == ("a", "gateway-1")
    assert log.directory.holds("하늘", "a", "gateway-2")
    log.write(Release(gateway="gateway-1", name="하늘", guest="a"))
    assert log.directory.holds("하늘", "a", "gateway-2")


def test_names_of_a_gateway_that_died_become_free() -> None:
    """By the broker's time of any later record; one that stops says so."""
    log = Log()
    log.state("gateway-1", {"하늘": "a"})
    log.claim("gateway-1", "구름", "b")
    log.state("gateway-2", {}, pass_ms=SILENT_MS - 1)
    assert log.directory.holds("하늘", "a", "gateway-1")
    log.claim("gateway-2", "하늘", "c")
    log.state("gateway-2", {}, pass_ms=SILENT_MS + 1)
    log.claim("gateway-2", "하늘", "c")
    assert log.directory.holds("하늘", "c", "gateway-2")
    assert not log.directory.names_of("gateway-1")
    log.write(Gone(gateway="gateway-2"))
    assert log.directory.holder_by_name == {}


def test_a_state_corrects_names_but_not_claims_that_it_has_not_seen() -> None:
    """A release that was lost is made up for."""
    log = Log()
    log.claim("gateway-1", "하늘", "a")
    seen = log.directory.offset
    log.claim("gateway-1", "구름", "b")
    log.state("gateway-1", {}, seen=seen)
    assert log.directory.names_of("gateway-1") == {"구름": "b"}


def test_rooms_of_the_others_have_addresses() -> None:
    """A gateway's own rooms are not among them."""
    log = Log()
    log.state("gateway-1", {}, rooms=[(1, 3, 20)])
    log.state("gateway-2", {}, rooms=[(51, 2, 20), (52, 0, 20)])
    found = [(view.room, view.players, view.url) for view in log.directory.rooms_elsewhere("gateway-1")]
    assert found == [(51, 2, "http://gateway-2"), (52, 0, "http://gateway-2")]


def test_other_programs_records_are_ignored() -> None:
    """Nothing is raised."""
    assert read_entry(None) is read_entry(b"{}") is read_entry(b'{"type":"x"}') is read_entry(b"\xff") is None


names, guests = st.sampled_from(["하늘", "구름", "별"]), st.sampled_from(["a", "b", "c"])
states = st.sampled_from(GATEWAYS)
entries = st.one_of(
    states,
    st.builds(Claim, id=st.just("x"), gateway=st.sampled_from(GATEWAYS), name=names, guest=guests),
    st.builds(Release, gateway=st.sampled_from(GATEWAYS), name=names, guest=guests),
    st.builds(Gone, gateway=st.sampled_from(GATEWAYS)),
)  # fmt: skip


@example(
    [
        ("gateway-1", 0),
        (Claim(id="x", gateway="gateway-1", name="구름", guest="b"), 0),
        (Claim(id="x", gateway="gateway-2", name="구름", guest="a"), 0),
    ],
    2,
)
@given(st.lists(st.tuples(entries, st.integers(0, 9000)), max_size=30), st.integers(0, 29))
def test_readers_that_start_later_agree_after_one_round_of_states(steps, start: int) -> None:
    """A gateway that reads only the end of the log knows the same names once every gateway has written its state."""
    log, late = Log(), DirectoryLog()
    for number, (entry, pass_ms) in enumerate(steps):
        if isinstance(entry, str):
            log.state(entry, dict(log.directory.names_of(entry)), pass_ms=pass_ms)
        else:
            log.write(entry, pass_ms)
        if number >= start:
            late.read(*log.entries[-1])
    for gateway in GATEWAYS:
        log.state(gateway, dict(log.directory.names_of(gateway)))
        late.read(*log.entries[-1])
    for gateway in GATEWAYS:
        assert late.names_of(gateway) == log.directory.names_of(gateway)
