"""Wait for a condition; after the deadline, the test fails."""

import time
from collections.abc import Callable

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.stack import processes


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    came_true = processes.wait_until(condition, time.monotonic() + timeout_s, pause_s=0.01)
    assert came_true, f"the condition did not come true within {timeout_s:g} s"


def entered(player: WorldPlayer) -> bool:
    """Try to enter; return whether the gateway lets the player in."""
    try:
        player.enter()
    except InvalidInput:
        return False
    return True
