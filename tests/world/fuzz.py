"""Frames that a broken or hostile client may send: random bytes, valid commands with faults, and any movement."""

import json
import random
from typing import Any

from world.gateway.protocol.frames import Move, write_move

Frame = str | bytes
ODD: list[Any] = [
    "", "가", -1, 0, 1, 7, 99_999, 2**64, 1e308, None, [], {}, "\u0000", True, "a" * 500, [[[]]], "\ud800", "\u202e", "ChatbotA",
    "{'from' : 'a'}", {"t": "say"}, "0" * 16, ["a" * 16] * 201,
]  # fmt: skip


def commands(draw: random.Random) -> list[dict[str, Any]]:
    """Return one valid command of each kind."""
    seat, message_id, turn = draw.randrange(1, 8), f"f{draw.randrange(10**9)}", f"bot_question-0-{draw.randrange(50)}"
    tag = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz234567", k=16))
    return [
        {"t": "enter", "v": 1, "look": {"body": 1}, "room": 1, "last": 3, "seat": seat, "waiting": [message_id]},
        {"t": "say", "id": message_id, "text": "안녕"},
        {"t": "whisper", "id": message_id, "to": seat, "text": "쉿"},
        {"t": "emote", "kind": draw.choice(["wave", "pick_up", "jump", "cheer", "sit"])},
        {"t": "dress", "look": {"body": 2, "hair": 3}},
        {"t": "ask", "id": message_id, "bot": f"Chatbot{draw.choice('ABC')}", "text": "별 좋아해?", "shared": True},
        {"t": "rate", "turn": turn, "up": draw.random() < 0.5},
        {"t": "teach", "turn": turn, "text": "이렇게"},
        {"t": "report_turn", "turn": turn, "text": "이상해"},
        {"t": "report_player", "seat": seat, "text": "시끄러워"},
        {"t": "block", "tag": tag, "blocked": draw.random() < 0.5},
        {"t": "consent", "store": draw.random() < 0.5, "learn": draw.random() < 0.5},
        {"t": "travel", "portal": draw.randrange(8)},
        {"t": "go", "room": draw.randrange(1, 6)},
        {"t": "rooms"},
        {"t": "ping", "at": draw.random()},
        {"t": "leave"},
    ]  # fmt: skip


def frames(draw: random.Random, count: int) -> list[Frame]:
    """Return frames: a fifth random bytes, half commands with or without a fault, the others movement."""
    makers = [_bytes, _command, _command, _command, _movement]
    return [draw.choice(makers)(draw) for _ in range(count)]


def _bytes(draw: random.Random) -> Frame:
    noise = draw.randbytes(draw.choice([0, 1, 11, 11, 40, 200]))
    return noise if draw.random() < 0.5 else noise.decode("latin-1")


def _command(draw: random.Random) -> Frame:
    command = draw.choice(commands(draw))
    fault = draw.randrange(8)
    if fault == 0:
        command[draw.choice(list(command))] = draw.choice(ODD)
    elif fault == 1:
        del command[draw.choice(list(command))]
    elif fault == 2:
        command[draw.choice(["t", "id", "seat", "text", "look", "extra", "가"])] = draw.choice(ODD)
    text = json.dumps(command, ensure_ascii=draw.random() < 0.5).encode("utf-8", "replace").decode()
    if fault == 3:
        return text[: draw.randrange(len(text))]
    if fault == 4:
        place = draw.randrange(len(text))
        return text[:place] + chr(draw.randrange(0x20, 0xD7FF)) + text[place + 1 :]
    return text if draw.random() < 0.97 else text.encode()


def _movement(draw: random.Random) -> Frame:
    if draw.random() < 0.2:
        return b"\x01\x01" + draw.randbytes(9)
    x, z = draw.uniform(-327, 327), draw.uniform(-327, 327)
    return write_move(Move(draw.randrange(0x10000), x, z, draw.randrange(256), draw.randrange(256), draw.randrange(4)))
