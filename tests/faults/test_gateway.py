"""A gateway of the stack is killed with kill -9 while players are in the world: it starts again, and they come back."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import requests

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.status import Service, status
from tests.faults.broker_process import BrokerProcess
from tests.running import is_running

DEADLINE_S = 60.0


@pytest.fixture
def gateway(kafka: BrokerProcess) -> Iterator[Settings]:
    """The broker's stack with a gateway; afterwards without it, as other tests expect it."""
    up(kafka.settings, only=["gateway"], progress=print)
    yield kafka.settings
    down(kafka.settings, progress=print)
    up(kafka.settings, only=["kafka"], progress=print)


def test_a_killed_gateway_is_restarted_and_players_come_back(gateway: Settings) -> None:
    """``status`` shows another process, ``/health`` answers 200, and players with their old tokens meet again."""
    killed = service(gateway)
    assert killed.healthy
    assert killed.pid
    with ExitStack() as leaving:
        players = [leaving.enter_context(closing(WorldPlayer(gateway.world_url, name))) for name in ("하늘", "나루")]
        for player in players:
            player.enter()
        assert health(gateway)["players"] == 2
        os.kill(killed.pid, signal.SIGKILL)
        restarted = wait_for_another(gateway, killed.pid)
        assert health(gateway) == {**health(gateway), "ready": True, "players": 0}
        for player in players:
            player.events.clear()
            player.enter(last=player.last)
            player.wait_for(lambda event: event["t"] == "welcome")
        players[0].say("다시 왔어!")
        said = players[1].wait_for(lambda event: event["t"] == "said")
        assert (said["name"], said["text"]) == ("하늘", "다시 왔어!")
    down(gateway, progress=print)
    assert not is_running(restarted)
    assert status(gateway).services[-1].detail == "not started"


def service(settings: Settings) -> Service:
    """Return the gateway's line of ``status``."""
    (found,) = [one for one in status(settings).services if one.name == "gateway-1"]
    return found


def health(settings: Settings) -> dict[str, Any]:
    """Return the gateway's health page; any other code than 200 is an error."""
    answer = requests.get(f"{settings.world_url}/health", timeout=5)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def wait_for_another(settings: Settings, killed: int) -> int:
    """Wait until ``status`` shows another healthy process, and return its id."""
    deadline = time.monotonic() + DEADLINE_S
    while (found := service(settings)).pid in (None, killed) or not found.healthy:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    assert found.pid
    return found.pid
