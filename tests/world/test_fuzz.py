"""A hundred thousand frames that no client of ours sends: nothing but a refusal comes of them."""

import random
from collections import Counter
from contextlib import suppress

import msgspec

from tests.world.fuzz import Frame, commands, frames
from tests.world.people import PLACES, Person, Town, answer_to
from world.gateway.protocol.commands import AnyCommand, read_command
from world.gateway.protocol.frames import read_move, read_positions
from world.gateway.refused import Refused

COUNT = 100_000


def test_the_parsers_refuse_or_read_any_frame() -> None:
    """Whatever is read can be written, and is the same when read again."""
    draw, read = random.Random(1), Counter[str]()
    for frame in frames(draw, COUNT):
        with suppress(Refused):
            if isinstance(frame, str):
                command = read_command(frame)
                assert read_command(msgspec.json.encode(command)) == command
                read[type(command).__name__] += 1
            else:
                read_move(frame)
                read["Move"] += 1
    names = {kind.__name__ for kind in AnyCommand.__args__}
    assert all(read[name] > 500 for name in {*names, "Move"}), read


def test_every_kind_of_command_is_among_the_frames() -> None:
    """A new command must be added to the frames."""
    known = {command["t"] for command in commands(random.Random(1))}
    assert known == {kind.__struct_config__.tag for kind in AnyCommand.__args__}


class Storm:
    """Players of whom one sends any frames, and time passes.

    Attributes:
        events: how many events the player got, by kind and, for refusals, by reason.
    """

    def __init__(self, seed: int) -> None:
        self.draw, self.town, self.events = random.Random(seed), Town(rooms=3, capacity=3), Counter[str]()
        self.calm = self.town.enter("평온이")
        self.wild = self.town.enter("난수")
        self.full = [self.town.enter(f"가득이{number}", room=2) for number in range(3)]

    def send(self, frame: Frame) -> None:
        """Send a frame as the gateway's connection does; the player may have been sent out of the world before."""
        town, wild = self.town, self.wild
        if town.rooms.seat_of(wild.guest.id) is None:
            self.wild = wild = Person(town, wild.guest, blocked=[self.calm.guest.tag])
        try:
            if isinstance(frame, str):
                town.dispatch.command(wild.seat, frame, town.now_s)
            else:
                town.dispatch.move(wild.seat, frame, town.now_s)
        except Refused:
            self.events["malformed"] += 1

    def pass_time(self, seconds: float) -> None:
        """Let time pass, answers arrive, and connections be lost and found again."""
        town, draw = self.town, self.draw
        town.pass_time(seconds)
        if draw.random() < 0.1:
            town.rooms.tick(town.now_s)
            town.asking.expire(town.now_s)
            for person in (self.calm, self.wild):
                for event in person.events():
                    self.events[event["reason"] if event["t"] == "refusal" else event["t"]] += 1
        if town.outside.questions and draw.random() < 0.5:
            town.asking.accept(answer_to(town.outside.questions.pop(), offset=draw.randrange(50)))
        if draw.random() < 0.01 and town.rooms.seat_of(self.wild.guest.id) is not None:
            self.wild.drop()
            self.wild = self.wild.come_back(draw.randrange(100))


def test_a_hundred_thousand_frames_do_no_harm() -> None:
    """The sender is refused or served, all stay where they can be, and another player goes on as before."""
    storm = Storm(2)
    for number, frame in enumerate(frames(storm.draw, COUNT)):
        storm.send(frame)
        storm.pass_time(storm.draw.choice([0.0, 1.0, 3.0]) if number % 4000 < 2000 else 0.02)
    served = ("said", "whispered", "emoted", "dressed", "thinking", "answered", "reported", "consented", "moved", "pong",
              "rooms", "joined", "left", "welcome", "noted")  # fmt: skip
    refused = ("malformed", "too_fast", "muted", "not_here", "not_yours", "room_full", "room_unknown", "message")
    assert all(storm.events[kind] > 20 for kind in (*served, *refused)), storm.events
    town = storm.town
    for seat in town.rooms:
        assert PLACES.ground.radius_m + 1 > max(abs(seat.walker.x), abs(seat.walker.z))
        assert len(seat.blocked) <= 200
        assert len(seat.turns) <= 200
    town.pass_time(60)
    storm.calm.events()
    town.rooms.tick(town.now_s)
    storm.calm.seat.outbox.take()
    storm.calm.move(storm.calm.seat.walker.x, storm.calm.seat.walker.z, sequence=77)
    storm.calm.send("say", text="아직 살아 있어")
    storm.calm.send("ask", id="last", bot="ChatbotA", text="너도?")
    town.asking.accept(answer_to(town.outside.questions[-1]))
    town.rooms.tick(town.now_s)
    events, positions = storm.calm.seat.outbox.take()
    texts = [msgspec.json.decode(event).get("text") for event in events]
    assert [text for text in texts if text] == ["아직 살아 있어", "너도?", "네!"]
    assert positions is not None
    assert read_positions(positions)[1] == 77
