"""A player of the world without a browser: for the demo, tests and other programs. It speaks the gateway's protocol."""

import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from kogpt2_chat.errors import InvalidInput, Unavailable

Event = Mapping[str, Any]
_TIMEOUT_S: Final = 10.0
_STEP_S: Final = 1 / 15
_WALK_M_PER_S: Final = 4.0
_HEAD: Final = b"\x01\x01"
_RUNS: Final = 2


class WorldPlayer:
    """One player.

    Attributes:
        url: the gateway's address.
        cookie: the player's identity, as a browser keeps it.
        welcome: the last welcome.
        events: events that nobody has waited for yet.
        last: number of the last event; pass it to :meth:`enter` after a lost connection.

    Args:
        url: the gateway's address.
        name: the player's name.
        store: whether the talk with bots may be stored.
        learn: whether bots may learn from it.
        minor: whether the player is a minor.

    Raises:
        Unavailable: the gateway does not answer.
        InvalidInput: the gateway refuses the player; the message has the reason.
    """

    def __init__(self, url: str, name: str, *, store: bool = True, learn: bool = False, minor: bool = False) -> None:
        self.url, self._ids = url, itertools.count(1)
        self.name = name
        self.cookie = _sign_in(url, {"name": name, "store": store, "learn": learn, "minor": minor})
        self.welcome: Event = {}
        self.events: list[Event] = []
        self.last = 0
        self._sequence = 0
        self._socket: ClientConnection | None = None
        self._arrived = threading.Condition()
        self._ended = ""

    def enter(self, **fields: object) -> None:
        """Enter the world, or enter it again after :meth:`drop`.

        Args:
            **fields: further fields of the command, such as ``room``, ``last`` or ``waiting``.
        """
        try:
            self._socket = connect(
                f"ws{self.url.removeprefix('http')}/world",
                additional_headers={"Cookie": self.cookie},
                open_timeout=_TIMEOUT_S,
                compression=None,
                proxy=None,
            )
        except InvalidStatus as error:
            raise InvalidInput(f"the gateway refuses {self.name!r}: HTTP {error.response.status_code}") from error
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"no gateway answers at {self.url}: {error}") from error
        self._ended = ""
        threading.Thread(target=self._read_all, args=(self._socket,), name=f"read {self.name}", daemon=True).start()
        if "last" in fields:
            fields |= {"seat": self.welcome["you"], "epoch": self.welcome["epoch"]}
        self._send("enter", v=1, look={"body": len(self.name) % 4, "top": sum(map(ord, self.name)) % 8}, **fields)
        if "last" in fields:  # whoever comes back in time gets the missed events and no welcome
            return
        first = self.wait_for(lambda event: event["t"] == "welcome" or event.get("of") == "enter")
        if first["t"] == "refusal":
            raise InvalidInput(f"the gateway refuses {self.name!r}: {first['reason']}")
        self.welcome = first

    def leave(self) -> None:
        """Leave the world: the seat and the name are free at once."""
        if self._socket is not None:
            with suppress(Unavailable):  # the connection has ended already
                self._send("leave")
            self.close()

    def close(self) -> None:
        """Close the connection: the seat is held for a while."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def drop(self) -> None:
        """Lose the connection without a word, as a phone in a tunnel does."""
        with self._arrived:
            socket, self._socket = self._socket, None
        if socket is not None:
            socket.socket.close()

    def say(self, text: str) -> str:
        """Say something to the room; return the message's id."""
        return self._send("say", text=text)

    def ask(self, bot: str, text: str, **fields: object) -> str:
        """Ask a bot; return the question's id."""
        return self._send("ask", bot=bot, text=text, **fields)

    def send(self, command: str, /, **fields: object) -> str:
        """Send any command; return its id."""
        return self._send(command, **fields)

    def answer_to(self, question_id: str, timeout_s: float = 20.0) -> Event:
        """Wait for the end of a question: an answer, a notice that there is none, or a refusal.

        Raises:
            Unavailable: nothing came in time.
        """
        return self.wait_for(lambda event: _ends(event, question_id), timeout_s)

    def wait_for(self, condition: Callable[[Event], bool], timeout_s: float = _TIMEOUT_S) -> Event:
        """Return the first event that meets the condition, of those that nobody has waited for yet.

        Raises:
            Unavailable: there was none in time, or the connection has ended.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._arrived:
            while True:
                for event in self.events:
                    if condition(event):
                        self.events.remove(event)
                        return event
                if self._ended:
                    raise Unavailable(f"{self.name}: {self._ended}")
                if not self._arrived.wait(deadline_s - time.monotonic()):
                    raise Unavailable(f"{self.name}: the expected event did not arrive within {timeout_s:g} s")

    def walk_to(self, x: float, z: float, pace: Callable[[float], None] = time.sleep) -> None:
        """Walk in a straight line.

        Args:
            x: metres to the east.
            z: metres to the south.
            pace: sleeps between two steps.
        """
        here = next(player for player in self.welcome["players"] if player["seat"] == self.welcome["you"])
        start, distance = (here["x"], here["z"]), math.dist((here["x"], here["z"]), (x, z))
        steps = max(1, math.ceil(distance / _WALK_M_PER_S / _STEP_S))
        yaw = round(math.atan2(x - start[0], z - start[1]) / math.tau * 256) & 0xFF
        for step in range(1, steps + 1):
            share = step / steps
            self.move(start[0] + (x - start[0]) * share, start[1] + (z - start[1]) * share, yaw, gait=_RUNS)
            pace(_STEP_S)
        self.move(x, z, yaw)
        here.update(x=x, z=z)

    def move(self, x: float, z: float, yaw: int = 0, gait: int = 0) -> None:
        """Send one movement frame."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        numbers = (self._sequence, round(x * 100) & 0xFFFF, round(z * 100) & 0xFFFF)
        frame = _HEAD + b"".join(number.to_bytes(2, "little") for number in numbers) + bytes((0, yaw, gait))
        self._write(frame)

    def _send(self, command: str, /, **fields: object) -> str:
        message_id = str(fields.pop("id", f"{self.name.encode().hex()[:12]}-{next(self._ids)}"))
        self._write(json.dumps({"t": command, "id": message_id, **fields}, ensure_ascii=False))
        return message_id

    def _write(self, message: str | bytes) -> None:
        try:
            self._connection().send(message)
        except ConnectionClosed as error:
            raise Unavailable(f"{self.name}: the gateway closed the connection: {error}") from error

    def _read_all(self, socket: ClientConnection) -> None:
        """Take all messages as they arrive: a client that does not read looks like a dead one."""
        ended = "the connection was closed"
        try:
            for message in socket:
                if isinstance(message, str):
                    self._take(socket, json.loads(message))
        except (ConnectionClosed, OSError) as error:
            ended = f"the gateway closed the connection: {error}"
        finally:
            with self._arrived:
                if socket is self._socket:
                    self._ended = ended if socket.close_code is None else self._reason(socket)
                    self._arrived.notify_all()

    def _reason(self, socket: ClientConnection) -> str:
        return f"the gateway closed the connection: {socket.close_code} {socket.close_reason}"

    def _take(self, socket: ClientConnection, event: Event) -> None:
        with self._arrived:
            if socket is not self._socket:  # what comes after `drop` is lost
                return
            self.last = max(self.last, event["n"])
            self.events.append(event)
            self._arrived.notify_all()

    def _connection(self) -> ClientConnection:
        if self._socket is None:
            raise Unavailable(f"{self.name} is not connected: call enter()")
        return self._socket


def places(url: str) -> Mapping[str, Any]:
    """Return the world's places, as its gateway shows them.

    Raises:
        Unavailable: the gateway does not answer.
    """
    with _session() as session:
        try:
            reply = session.get(f"{url}/places", timeout=_TIMEOUT_S, allow_redirects=False)
            reply.raise_for_status()
            found: Mapping[str, Any] = reply.json()
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(f"no gateway answers at {url}: {type(error).__name__}") from error
    return found


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy for other servers must not get a player's cookie
    return session


def _ends(event: Event, question_id: str) -> bool:
    if event["t"] in ("answered", "unanswered"):
        return bool(event.get("id") == question_id)
    return bool(event["t"] == "refusal" and event["of"] == question_id)


def _sign_in(url: str, wanted: Mapping[str, object]) -> str:
    """Return the cookie of a new guest."""
    try:
        with _session() as session:
            reply = session.post(f"{url}/session", json=wanted, timeout=_TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        raise Unavailable(f"no gateway answers at {url}: {type(error).__name__}") from error
    if reply.status_code != requests.codes.ok:
        raise InvalidInput(f"the gateway refuses {wanted['name']!r}: {reply.text[:200]}")
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in reply.cookies)
