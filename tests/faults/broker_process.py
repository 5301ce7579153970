"""A broker of these tests' own, which may be killed, with a second listener that is advertised as a proxy's address.

Everything that fault tests touch is theirs alone: the session's stack has a worker of its own in the same group, whose
answers would hide what is being tested, and other tests rely on its broker.
"""

import os
import shutil
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import CHECKOUT, Ports, Settings, Stack
from kogpt2_chat.stack.folders import folders_of, short_hash
from kogpt2_chat.stack.servers import kafka as server
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.supervision import Supervisor
from kogpt2_chat.testing.tcp_proxy import TcpProxy
from kogpt2_chat.testing.tiny_gpt2 import tiny_version

FAULTS_HOME = CHECKOUT / "var" / "faults"
SLOTS = (1, 2, 3, 4)
# Between the offsets that tests/conftest.py chooses from: no port of the one can be a port of the other.
FIRST_OFFSET, LAST_OFFSET, OFFSET_STEP = 20125, 50000, 250
BEHIND_PROXY, PROXY = 9094, 9095
RETURN_S = 120.0


class BrokerProcess:
    """The running broker.

    Args:
        settings: of a stack of Kafka alone.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def home(self) -> Path:
        """Where workers keep models and crash logs too."""
        return self.settings.home

    def process(self) -> psutil.Process:
        """The broker's process, by the supervisor's word."""
        supervision = Supervisor(folders_of(self.settings)).find()
        assert supervision is not None, "the supervisor of the tests' own Kafka is gone"
        deadline = time.monotonic() + RETURN_S
        while (pid := supervision.states()["kafka"].pid) is None:
            assert time.monotonic() < deadline, "the supervisor did not start Kafka again"
            time.sleep(0.1)
        return psutil.Process(pid)

    def kill(self) -> None:
        """SIGKILL; the supervisor starts the broker again."""
        victim = self.process()
        victim.kill()
        victim.wait(timeout=10)

    def wait_until_back(self) -> float:
        """Wait until the broker takes connections; give that moment (monotonic)."""
        deadline = time.monotonic() + RETURN_S
        while not _listens(self.settings.ports.at(self.settings.ports.kafka)):
            assert time.monotonic() < deadline, "the broker did not come back"
            time.sleep(0.05)
        return time.monotonic()

    @contextmanager
    def proxy(self) -> Iterator[TcpProxy]:
        """A proxy in front of the second listener; whoever asks there is told to stay there."""
        ports = self.settings.ports
        host = self.settings.stack.host
        with closing(TcpProxy((host, ports.at(PROXY)), (host, ports.at(BEHIND_PROXY)))) as made:
            made.start()
            yield made

    def through_proxy(self) -> dict[str, str]:
        """Environment of a worker that knows nothing but the proxy."""
        return {"KOGPT2_KAFKA__BOOTSTRAP": self.settings.local(PROXY)}


@contextmanager
def lone_kafka(*, keep: bool) -> Iterator[BrokerProcess]:
    """Start it, with topics and one rolled out tiny version a bot; stop it and remove what it kept."""
    settings = Settings(
        home=FAULTS_HOME / "stack",
        ports=Ports(offset=_free_offset()),
        stack=Stack(min_memory_mb=400, workers=0, stop_timeout_s=20),
    )
    down(settings, wipe=True, progress=_tell)
    for old in settings.home.glob("worker-*.log"):
        old.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "server_properties", _with_second_listener(server.server_properties))
        try:
            up(settings, only=["kafka"], progress=_tell, on_ready=lambda: topics_with_champions(settings))
            fill_shelves(settings.home)
            yield BrokerProcess(settings)
        finally:
            down(settings, wipe=not keep, progress=_tell)


def _with_second_listener(plain):
    """Clients are told the address of the listener they came through, so a proxy in front of it keeps them."""

    def properties(settings: Settings, logs: Path) -> str:
        listener = f"PROXIED://{settings.local(BEHIND_PROXY)}"
        more = {
            "listeners=": f",{listener}",
            "advertised.listeners=": f",PROXIED://{settings.local(PROXY)}",
            "listener.security.protocol.map=": ",PROXIED:PLAINTEXT",
        }
        lines = []
        for line in plain(settings, logs).splitlines():
            added = next((text for name, text in more.items() if line.startswith(name)), "")
            lines.append(line + added)
        return "\n".join(lines) + "\n"

    return properties


def topics_with_champions(settings: Settings) -> None:
    """The platform's topics, and version 1 as each bot's champion."""
    topics = bootstrap.topics(settings)
    topics.ensure()
    topics.send(
        Outgoing(
            topic=ROLLOUT_TOPIC,
            key=bot.encode(),
            value=RolloutState(bot=bot, epoch=1, champion=1, by="faults").to_json().encode(),
        )
        for bot in BOT_IDS
    )


def fill_shelves(home: Path, slots: Sequence[int] = SLOTS) -> None:
    """Version 1 of each bot lies where a worker looks first, so nothing has to be fetched from a registry."""
    made = home / "versions"
    for bot in BOT_IDS:
        tiny_version(made / bot, bot=bot)
        for slot in slots:
            shutil.copytree(made / bot, home / "models" / f"worker-{slot}" / bot / "1")


def _free_offset() -> int:
    plain = Ports()
    wanted = (plain.kafka, plain.kafka_controller, BEHIND_PROXY, PROXY, *(plain.worker_metrics + n - 1 for n in SLOTS))
    offsets = deque(range(FIRST_OFFSET, LAST_OFFSET, OFFSET_STEP))
    offsets.rotate(int(short_hash(FAULTS_HOME), 16) % len(offsets))  # checkouts that start at once do not meet
    for offset in offsets:
        if not any(_listens(port + offset) for port in wanted):
            return offset
    raise RuntimeError(f"no free block of ports between offsets {FIRST_OFFSET} and {LAST_OFFSET}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _tell(line: str) -> None:
    print(f"faults: {line}", flush=True)


def keeps_home() -> bool:
    """Whether the home is to be left for inspection."""
    return bool(os.environ.get("KOGPT2_TEST_KEEP"))
