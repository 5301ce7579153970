"""Rooms: entering, leaving, coming back, and who gets to know it."""

from contextlib import nullcontext, suppress
from dataclasses import replace

import msgspec
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.world.people import PLACES, Person, Town
from world.gateway.protocol.close_codes import NORMAL, REPLACED
from world.gateway.protocol.frames import TICK_HZ, read_positions
from world.gateway.protocol.views import Look
from world.gateway.refused import Refused
from world.gateway.rooms.outbox import KEPT_EVENTS
from world.gateway.rooms.seat import HELD_S


@pytest.fixture
def town() -> Town:
    return Town()


def test_who_enters_sees_the_room_and_is_seen(town: Town) -> None:
    """The welcome comes first, with everyone in the room and the bots."""
    first = town.enter("하늘")
    second = town.enter("별똥별")
    (welcome,) = second.events()
    assert welcome["t"] == "welcome"
    assert welcome["n"] == 1
    assert [player["name"] for player in welcome["players"]] == ["하늘", "별똥별"]
    assert [bot["bot"] for bot in welcome["bots"]] == ["ChatbotA", "ChatbotB", "ChatbotC"]
    (joined,) = first.events("joined")
    assert joined["player"]["name"] == "별똥별"


def test_a_full_room_opens_the_next_one(town: Town) -> None:
    """Players meet in the first room with a free seat; the list shows one empty room."""
    seated = [town.enter(f"손님{number}") for number in range(5)]
    assert [person.seat.room for person in seated] == [1, 1, 1, 1, 2]
    assert [(view.room, view.players) for view in town.rooms.views()] == [(1, 4), (2, 1), (3, 0)]
    with pytest.raises(Refused, match="room_full"):
        town.enter("늦은이", room=1)
    with pytest.raises(Refused, match="room_unknown"):
        town.enter("길잃은이", room=9)


def test_a_full_world_refuses_and_the_name_stays_free(town: Town) -> None:
    """The name can be used as soon as there is a seat."""
    people = [town.enter(f"손님{number}") for number in range(12)]
    with pytest.raises(Refused, match="room_full"):
        town.enter("늦은이")
    town.rooms.leave(people[0].seat)
    assert town.enter("늦은이").seat.room == 1


def test_a_name_belongs_to_one_player_at_a_time(town: Town) -> None:
    """In any spelling that looks alike. It is free again when its player has left."""
    first = town.enter("Jinwoo")
    with pytest.raises(Refused, match="name_taken"):
        town.enter("ＪＩＮＷＯＯ")
    town.rooms.leave(first.seat)
    town.enter("ＪＩＮＷＯＯ")


def test_a_new_name_that_is_taken_does_not_cost_the_seat(town: Town) -> None:
    """It is checked before the seat under the old name is given up."""
    town.enter("하늘")
    second = town.enter("별똥별")
    with pytest.raises(Refused, match="name_taken"):
        Person(town, replace(second.guest, name="하 늘"))
    assert town.rooms.seat_of(second.guest.id) is second.seat
    assert second.hung_up == []
    renamed = Person(town, replace(second.guest, name="달빛"))
    assert second.hung_up == [NORMAL]
    assert [seat.guest.name for seat in town.rooms] == ["하늘", "달빛"]
    assert town.enter("별똥별").seat.room == renamed.seat.room


def test_a_new_name_does_not_cost_the_seat_of_a_full_room(town: Town) -> None:
    """The player stays in the room, although it has no other free seat."""
    people = [town.enter(f"손님{number}") for number in range(12)]
    renamed = Person(town, replace(people[5].guest, name="달빛"))
    assert renamed.seat.room == people[5].seat.room
    with pytest.raises(Refused, match="room_full"):
        Person(town, replace(people[6].guest, name="햇살"), room=3)
    assert town.rooms.seat_of(people[6].guest.id) is people[6].seat
    people[7].send("leave")
    town.enter("햇살")


def test_another_spelling_of_the_own_name_stays_the_players(town: Town) -> None:
    """Other gateways do not hear in between that it is free."""
    released: list[str] = []
    town.rooms._released = lambda name, _: released.append(name)
    first = town.enter("하늘")
    Person(town, replace(first.guest, name="하 늘"))
    assert released == []
    with pytest.raises(Refused, match="name_taken"):
        town.enter("하늘")


@pytest.mark.parametrize("is_resumed", [True, False])
def test_a_look_that_was_changed_meanwhile_is_seen(town: Town, is_resumed: bool) -> None:
    """At the door, while the seat was held. Without a change, nobody is told anything."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    last = first.events()[-1]["n"] if is_resumed else None
    first.drop()
    first.come_back(last, look=Look(body=2))
    (dressed,) = second.events("dressed")
    assert (dressed["seat"], dressed["look"]["body"]) == (first.seat.number, 2)
    assert first.seat.view.look == Look(body=2)
    for look in (Look(body=2), None):
        first.drop()
        first.come_back(last, look=look)
        assert first.seat.view.look == Look(body=2)
        assert second.events("dressed") == []


def test_a_faulty_room_keeps_no_seat_held(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seats are freed before positions are sent."""
    first = town.enter("하늘")
    first.drop()
    town.pass_time(HELD_S + 1)
    monkeypatch.setattr(town.rooms.room_of(first.seat), "tick", lambda _: 1 / 0)
    for _ in range(TICK_HZ):
        with suppress(ZeroDivisionError):
            town.rooms.tick(town.now_s)
    assert town.rooms.seat_of(first.guest.id) is None


def test_a_lost_connection_keeps_the_seat_for_half_a_minute(town: Town) -> None:
    """Nobody hears of it, and nothing is missed."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    last = first.events()[-1]["n"]
    second.events()
    first.drop()
    second.send("say", text="어디 갔어?")
    town.pass_time(HELD_S - 1)
    tick(town)
    back = first.come_back(last)
    assert [event["text"] for event in back.events("said")] == ["어디 갔어?"]
    assert second.events("left", "joined") == []
    assert back.seat is first.seat


def test_after_half_a_minute_the_seat_is_free(town: Town) -> None:
    """The others are told who has left."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    second.events()
    first.drop()
    town.pass_time(HELD_S + 1)
    tick(town)
    (left,) = second.events("left")
    assert left["name"] == "하늘"
    assert first.come_back(5).events()[0]["t"] == "welcome"


def test_a_seat_of_before_is_not_resumed(town: Town) -> None:
    """Its number of events means nothing for the new seat, even if it fits by chance."""
    first = town.enter("하늘")
    last = first.events()[-1]["n"]
    first.drop()
    town.pass_time(HELD_S + 1)
    tick(town)
    again = Person(town, first.guest)
    again.events()
    assert [event["t"] for event in first.come_back(last).events()] == ["welcome"]


def test_events_of_another_count_are_not_resumed(town: Town) -> None:
    """After a restart of the gateway, a seat's number and a number of events may fit by chance; the epoch does not."""
    first = town.enter("하늘")
    (welcome,) = first.events("welcome")
    first.drop()
    assert [event["t"] for event in first.come_back(welcome["n"], epoch="0" * 16).events()] == ["welcome"]
    first.drop()
    assert [event["t"] for event in first.come_back(welcome["n"], epoch=None).events()] == ["welcome"]
    first.drop()
    last = first.come_back(welcome["n"], epoch=welcome["epoch"])
    assert [event["t"] for event in last.events()] == ["welcome", "welcome"]


def test_each_seat_has_a_count_of_its_own(town: Town) -> None:
    """Also if the same guest gets the same number again."""
    first = town.enter("하늘")
    epoch = first.events("welcome")[0]["epoch"]
    town.rooms.leave(first.seat)
    town.rooms._numbers = iter([first.seat.number])  # type: ignore[assignment]
    again = Person(town, first.guest, last=1, seat=first.seat.number, epoch=epoch)
    (welcome,) = again.events()
    assert (welcome["t"], welcome["you"]) == ("welcome", first.seat.number)
    assert welcome["epoch"] != epoch


def test_who_leaves_is_gone_at_once(town: Town) -> None:
    """The seat and the name are free, the others are told, and the connection ends as it should."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    second.events()
    for _ in range(20):
        first.send("emote", kind="wave")
    first.send("leave")
    assert first.hung_up == [NORMAL]
    assert [event["name"] for event in second.events("left")] == ["하늘"]
    assert [seat.guest.name for seat in town.rooms] == ["별똥별"]
    town.enter("하늘")
    first.send("leave")
    assert second.events("left") == []


def test_a_second_tab_takes_over(town: Town) -> None:
    """One player has one body. The first tab is told why its connection ends."""
    first = town.enter("하늘")
    again = first.come_back()
    assert first.hung_up == [REPLACED]
    assert again.seat is first.seat
    assert [event["t"] for event in again.events()] == ["welcome"]
    assert len(town.rooms) == 1


def test_a_client_that_missed_too_much_starts_anew(town: Town) -> None:
    """Events are kept for a while only; then the welcome says how things are."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    last = first.events()[-1]["n"]
    first.drop()
    for number in range(KEPT_EVENTS + 1):
        town.pass_time(1)
        second.send("say", text=f"{number}")
        first.seat.dropped_at_s = town.now_s
    assert first.seat.outbox.has_overflowed
    events = first.come_back(last).events()
    assert [event["t"] for event in events] == ["welcome"]


def test_positions_reach_the_room_only(town: Town) -> None:
    """One frame per tick with everyone in it, with the receiver's own last move, and none if nobody has moved."""
    first, second, far = town.enter("하늘"), town.enter("별똥별"), town.enter("멀리", room=2)
    tick(town)
    for person in (first, second, far):
        person.seat.outbox.take()
    town.pass_time(0.1)
    first.move(first.seat.walker.x, first.seat.walker.z + 0.3, sequence=7)
    tick(town)
    frame = second.seat.outbox.take()[1]
    assert frame is not None
    _, acknowledged, players = read_positions(frame)
    assert acknowledged == 0
    assert {seat for seat, *_ in players} == {first.seat.number, second.seat.number}
    own = first.seat.outbox.take()[1]
    assert own is not None
    assert read_positions(own)[1] == 7
    assert far.seat.outbox.take()[1] is None
    tick(town)
    assert first.seat.outbox.take()[1] is None


def test_a_move_that_is_too_far_is_corrected(town: Town) -> None:
    """The client is told where its player is."""
    first = town.enter("하늘")
    first.events()
    first.move(90, 0)
    (moved,) = first.events("moved")
    assert moved["x"] < 10


def test_a_portal_leads_to_its_place_from_nearby_only(town: Town) -> None:
    """Each portal, and none from across the plaza."""
    first = town.enter("하늘")
    for number, portal in enumerate(PLACES.portals):
        first.walk_to(portal.x, portal.z)
        first.events()
        town.pass_time(5)
        first.send("travel", portal=number)
        (moved,) = first.events("moved")
        assert (moved["x"], moved["z"]) == pytest.approx((portal.arrive_x, portal.arrive_z), abs=0.01)
    town.pass_time(5)
    first.send("travel", portal=0)
    assert first.events("refusal")[0]["reason"] == "not_here"
    first.send("travel", portal=99)
    assert first.events("refusal")[0]["reason"] == "not_here"


def test_rooms_are_listed_when_a_player_asks(town: Town) -> None:
    """Nobody gets them otherwise: in a large world there is always a room with one player more or less."""
    first = town.enter("하늘")
    for number in range(4):
        town.enter(f"손님{number}")
    tick(town)
    assert first.events("rooms") == []
    first.send("rooms")
    (listed,) = first.events("rooms")
    assert [(room["room"], room["players"]) for room in listed["rooms"]] == [(1, 4), (2, 1), (3, 0)]


def test_going_to_another_room_tells_both(town: Town) -> None:
    """The old room sees the player leave, the new one sees it come."""
    first, old, new = town.enter("하늘"), town.enter("별똥별"), town.enter("멀리", room=2)
    for person in (first, old, new):
        person.events()
    first.send("go", room=2)
    assert first.events("welcome")[0]["room"] == 2
    assert old.events("left")[0]["name"] == "하늘"
    assert new.events("joined")[0]["player"]["name"] == "하늘"
    first.send("go", room=77)
    assert first.events("refusal")[0]["reason"] == "room_unknown"


def tick(town: Town) -> None:
    """Let at least a second's worth of ticks pass, without moving the clock."""
    for _ in range(15):
        town.rooms.tick(town.now_s)


class Coming(RuleBasedStateMachine):
    """Players come, go, drop and change rooms in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(rooms=2, capacity=3)
        self.people: list[Person] = []

    @rule(name=st.sampled_from(["하늘", "별똥별", "Jinwoo", "고래'밥", "토끼굴", "새벽감성", "민트초코"]))
    def enter(self, name: str) -> None:
        is_possible = name not in {person.guest.name for person in self.people} and len(self.people) < 6
        with nullcontext() if is_possible else pytest.raises(Refused, match="name_taken|room_full"):
            self.people.append(self.town.enter(name))

    @rule(index=st.integers(0, 6))
    def leave(self, index: int) -> None:
        if index < len(self.people):
            self.town.rooms.leave(self.people.pop(index).seat)

    @rule(index=st.integers(0, 6), pause_s=st.floats(0, 40))
    def drop(self, index: int, pause_s: float) -> None:
        if index < len(self.people):
            person = self.people[index]
            person.drop()
            self.town.pass_time(pause_s)
            tick(self.town)
            if pause_s > HELD_S:
                self.people.remove(person)
            else:
                self.people[index] = person.come_back()

    @rule(index=st.integers(0, 6), room=st.integers(1, 3))
    def go(self, index: int, room: int) -> None:
        if index < len(self.people):
            self.people[index].send("go", room=room)

    @rule()
    def wait(self) -> None:
        self.town.pass_time(1)
        tick(self.town)

    @invariant()
    def everyone_has_one_seat(self) -> None:
        seats = [seat for room in self.town.rooms._by_number.values() for seat in room]
        assert len(seats) == len({seat.number for seat in seats}) == len(self.town.rooms)
        assert {seat.guest.name for seat in seats} == {person.guest.name for person in self.people}
        for room in self.town.rooms._by_number.values():
            assert len(room.seats) <= 3
            assert all(seat.room == room.number for seat in room)


Coming.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)
TestComing = Coming.TestCase


def test_events_are_numbered_without_gaps(town: Town) -> None:
    """So that a client knows what it has seen."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    for number in range(5):
        second.send("say", text=str(number))
    numbers = [event["n"] for event in first.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert msgspec.json.encode(numbers)
