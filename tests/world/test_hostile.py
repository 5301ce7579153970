"""Hostile and broken clients: they are refused or sent away, and nobody else notices."""

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import ERROR
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import world.gateway.connection
from benchmarks.world.client import CLOSE, TEXT, client_frame
from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.errors import InvalidInput, Unavailable
from tests.world.fuzz import Frame, frames
from tests.world.served import EchoBot, Served, in_memory_topics, serve
from tests.world.waiting import entered, wait_until
from world.gateway.protocol.commands import MAX_FRAME_BYTES, read_command
from world.gateway.protocol.events import Said, write_event
from world.gateway.protocol.frames import Move, read_move, read_positions, write_move
from world.gateway.refused import Refused
from world.gateway.rooms.outbox import KEPT_EVENTS
from world.gateway.rooms.seat import Seat


def test_malformed_messages_end_the_connection(join) -> None:
    """A few are forgiven; the others do not notice."""
    player, other = join("엉망이"), join("조용이")
    socket_ = player._connection()
    with suppress(ConnectionClosed):  # the gateway may have had enough already
        for _ in range(6):
            socket_.send(b"\x00")
            socket_.send("nonsense")
    with pytest.raises(Unavailable, match="1008"):
        player.wait_for(lambda event: event["t"] == "never")
    other.say("괜찮아")
    assert other.wait_for(lambda event: event["t"] == "said")["text"] == "괜찮아"


def test_a_spammer_is_muted_and_then_sent_away(join) -> None:
    """It may come back, but not talk, until the mute is over. A friend who waves as fast as that may stay."""
    player, friend = join("도배왕"), join("손흔들이")
    for number in range(30):
        friend.send("emote", kind="wave")
        with suppress(Unavailable):
            player.say(f"사세요 {number}")
    with pytest.raises(Unavailable, match="1008 too many messages"):
        player.wait_for(lambda event: event["t"] == "never")
    reasons = [event["reason"] for event in player.events if event["t"] == "refusal"]
    assert reasons == ["too_fast"] * 3 + ["muted"] * len(reasons[3:])
    player.enter()
    player.move(player.welcome["x"], player.welcome["z"])
    player.send("ping", at=1)
    player.wait_for(lambda event: event["t"] == "pong")
    heard = player.say("나 왔어")
    assert player.wait_for(lambda event: event.get("of") == heard)["reason"] == "muted"
    friend.wait_for(lambda event: event["t"] == "refusal")
    friend.say("안녕")
    assert friend.wait_for(lambda event: event["t"] == "said" and event["name"] == "손흔들이")


def test_names_cannot_be_changed_all_the_time(served: Served) -> None:
    """Ten times at once; a first sign-in has the limit of its address."""
    with requests.Session() as browser:
        replies = [browser.post(f"{served.url}/session", json={"name": f"이름{number}"}) for number in range(16)]
    assert [reply.status_code for reply in replies[:11]] == [200] * 11
    assert replies[-1].status_code == 429
    assert (replies[-1].json()["reason"], replies[-1].json()["wait_s"] > 0) == ("too_fast", True)


def test_a_flood_of_frames_ends_the_connection(join) -> None:
    """Even if each frame is correct."""
    player = join("홍수")
    frames = [write_move(Move(number, 0, 13, 0, 0, 0)) for number in range(1000)]
    with suppress(ConnectionClosed):
        list(map(player._connection().send, frames * 10))
    with pytest.raises(Unavailable, match="1008"):
        player.wait_for(lambda event: event["t"] == "never")


def test_frames_above_the_limit_end_the_connection(join) -> None:
    """Nobody needs larger ones."""
    player = join("커다람")
    with suppress(ConnectionClosed):
        player._connection().send("x" * (MAX_FRAME_BYTES + 1))
    with pytest.raises(Unavailable, match="1009"):
        player.wait_for(lambda event: event["t"] == "never")


@contextmanager
def nothing_goes_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if the gateway, its server or its event loop logs an error meanwhile."""
    caplog.clear()
    with capture_logs() as logged:
        yield
    assert [entry for entry in logged if entry["log_level"] in ("error", "critical") or entry.get("exc_info")] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= ERROR or record.exc_info] == []


def test_fuzzed_frames_over_a_socket_stop_nothing(served: Served, join, bot: EchoBot, caplog) -> None:
    """From a client that connects again whenever the gateway has had enough. It still ticks, and others are served."""
    draw, calm = random.Random(7), join("평온이")
    ends, heard = Counter[int | None](), Counter[str]()
    with nothing_goes_wrong(caplog):
        for number in range(50):
            cookie = WorldPlayer(served.url, f"난수{number}").cookie
            storm = [frame for frame in frames(draw, 100) if number % 5 == 0 or is_readable(frame)]
            with connected(served, cookie, close_timeout=1) as wild:
                with suppress(ConnectionClosed):
                    for frame in storm:
                        wild.send(frame)
                    wild.send('{"t":"leave"}')
                    while True:
                        message = wild.recv(timeout=20)
                        heard[json.loads(message)["t"] if isinstance(message, str) else "positions"] += 1
                ends[wild.close_code] += 1
        assert set(ends) == {1000, 1008}, ends
        assert ends[1008] > 5, "malformed messages end the connection"
        assert min(heard[kind] for kind in ("welcome", "refusal", "emoted", "dressed", "pong", "moved")) > 10, heard
        assert calm.answer_to(calm.ask("ChatbotA", "괜찮아?"))["text"] == "괜찮아?!"
        with connected(served, WorldPlayer(served.url, "걷는이").cookie) as walker:
            ticks = {tick_after(walker, sequence) for sequence in (1, 2, 3)}
        assert len(ticks) == 3
        assert requests.get(f"{served.url}/health").status_code == 200


def is_readable(frame: Frame) -> bool:
    try:
        read_command(frame) if isinstance(frame, str) else read_move(frame)
    except Refused:
        return False
    return True


@contextmanager
def connected(served: Served, cookie: str, **options: Any) -> Iterator[ClientConnection]:
    """Enter with a plain connection."""
    address = f"ws{served.url[4:]}/world"
    with connect(address, additional_headers={"Cookie": cookie}, proxy=None, **options) as connection:
        connection.send(json.dumps({"t": "enter", "v": 1}))
        yield connection


def tick_after(connection: ClientConnection, sequence: int) -> int:
    """Move, and return the number of the tick that acknowledges it."""
    connection.send(write_move(Move(sequence, 0, 13, 0, 0, 0)))
    while True:
        message = connection.recv(timeout=20)
        if isinstance(message, bytes):
            tick, acknowledged, _ = read_positions(message)
            if acknowledged == sequence:
                return tick


def test_a_fault_with_one_player_ends_that_players_connection_only(served: Served, join, caplog, monkeypatch) -> None:
    """It is logged, once, and the client knows that it may come back."""
    player, other = join("불운이"), join("무사이")
    rooms, move = served.gateway.rooms, served.gateway.rooms.move

    def faulty(seat: Seat, moved: Move, now_s: float) -> None:
        if seat.guest.name == "불운이":
            raise ZeroDivisionError("a fault on purpose")
        move(seat, moved, now_s)

    monkeypatch.setattr(rooms, "move", faulty)
    with capture_logs() as logged:
        player.move(0, 13)
        other.move(0, 13)
        with pytest.raises(Unavailable, match="1011"):
            player.wait_for(lambda event: event["t"] == "never")
    assert [(entry["event"], entry["log_level"]) for entry in logged] == [("command_failed", "error")]
    monkeypatch.undo()
    other.say("나는 괜찮아")
    assert other.wait_for(lambda event: event["t"] == "said")
    player.enter(last=player.last)
    player.say("나도 이제 괜찮아")
    assert other.wait_for(lambda event: event["t"] == "said" and event["name"] == "불운이")


@pytest.mark.parametrize("last_words", [b'{"t":"say","id":"z","text":"bye"}', b"\xff\xff", b"{"])
def test_a_message_and_a_close_in_one_segment(served: Served, join, caplog, last_words: bytes) -> None:
    """As a page sends them that says something and is closed: what is valid arrives, and nothing fails."""
    other, cookie = join("듣는이"), WorldPlayer(served.url, "나가는이").cookie
    with nothing_goes_wrong(caplog):
        with connected(served, cookie) as connection:
            connection.recv(timeout=20)
            closing = client_frame(CLOSE, (1000).to_bytes(2, "big"))
            connection.socket.sendall(client_frame(TEXT, last_words) + closing)
            if b"say" in last_words:
                assert other.wait_for(lambda event: event["t"] == "said")["text"] == "bye"
        wait_until(lambda: [seat.is_connected for seat in served.gateway.rooms] == [True, False])
        other.say("나는 남았어")
        assert other.wait_for(lambda event: event["t"] == "said")["text"] == "나는 남았어"


def test_an_address_has_limits() -> None:
    """On ids and on connections."""
    with serve(in_memory_topics(), ids_per_hour=3, connections=2) as small:
        players = [WorldPlayer(small.url, f"손님{number}") for number in range(3)]
        with pytest.raises(InvalidInput, match="too_many_ids"):
            WorldPlayer(small.url, "손님9")
        players[0].enter()
        players[1].enter()
        with pytest.raises(InvalidInput, match="403"):
            players[2].enter()
        players[0].close()
        wait_until(lambda: entered(players[2]))
        for player in players:
            player.close()


@pytest.mark.parametrize("is_too_late", [False, True])
def test_a_client_that_does_not_read_is_sent_away(served: Served, join, monkeypatch, is_too_late: bool) -> None:
    """When it misses too many events, or takes nothing for too long. Others notice nothing; little waits for it."""
    monkeypatch.setattr(world.gateway.connection, "SEND_TIMEOUT_S", 0.2 if is_too_late else 1e9)
    fast, cookie = join("빠름이"), WorldPlayer(served.url, "느림보").cookie
    loop, rooms, pushed = served.gateway._loop, served.gateway.rooms, 0
    assert loop is not None
    with socket.socket() as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect(("127.0.0.1", int(served.url.rsplit(":", 1)[1])))
        with (
            suppress(EOFError, OSError, ConnectionClosed),
            connected(served, cookie, sock=small, max_queue=1, close_timeout=0.1),
        ):
            wait_until(lambda: len(rooms) == 2)
            (seat,) = [seat for seat in rooms if seat.guest.name == "느림보"]
            line = Said("x", "x", seat.number, "느림보", "가" * 300)
            deadline_s = time.monotonic() + 60
            while seat.is_connected:
                assert time.monotonic() < deadline_s
                if is_too_late and seat.outbox._last > seat.outbox._taken:  # it is stuck, and must not overflow
                    time.sleep(0.01)
                    continue
                fast.send("ping", at=pushed)
                fast.wait_for(lambda event: event["t"] in ("pong", "refusal"))
                loop.call_soon_threadsafe(lambda: [seat.outbox.put(line) for _ in range(100)])
                pushed += 100
    assert seat.outbox.has_overflowed is not is_too_late
    assert pushed * len(write_event(line)) < 40_000_000
    assert len(seat.outbox._kept) <= KEPT_EVENTS
    fast.say("나는 괜찮아")
    assert fast.wait_for(lambda event: event["t"] == "said" and event["text"] == "나는 괜찮아")
