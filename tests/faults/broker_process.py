"""A separate broker for fault tests, which may kill it. Its second listener advertises a proxy's address.

Fault tests do not use the session's stack: its worker is in the same consumer group, so its answers would hide faults,
and other tests need its broker.
"""

import os
import shutil
import socket
import time
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
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.servers import kafka as server
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.supervision import Supervisor
from kogpt2_chat.testing.tcp_proxy import TcpProxy
from kogpt2_chat.testing.tiny_gpt2 import tiny_version
from tests.free_ports import free_offset

FAULTS_HOME = CHECKOUT / "var" / "faults"
ORDINALS = (1, 2, 3, 4)
# Between the offsets of tests/conftest.py, so that this broker and the session's stack never share a port.
# All ports are below 32768, where Linux takes the local ports of outgoing connections from.
FIRST_OFFSET, LAST_OFFSET, OFFSET_STEP = 20125, 23500, 250
BEHIND_PROXY, PROXY = 9094, 9095
RESTART_S = 120.0


class BrokerProcess:
    """The running broker.

    Args:
        settings: settings of a stack that runs only Kafka.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def home(self) -> Path:
        """The stack's home, where the workers also keep models and crash logs."""
        return self.settings.home

    def process(self) -> psutil.Process:
        """Return the broker's process, once the supervisor runs it."""
        supervisor = Supervisor(folders_of(self.settings)).find()
        assert supervisor is not None, "the supervisor of the fault tests' Kafka does not run"
        deadline = time.monotonic() + RESTART_S
        while (pid := supervisor.states()["kafka"].pid) is None:
            assert time.monotonic() < deadline, "the supervisor did not restart Kafka"
            time.sleep(0.1)
        return psutil.Process(pid)

    def kill(self) -> None:
        """End the broker with SIGKILL; the supervisor restarts it."""
        process = self.process()
        process.kill()
        process.wait(timeout=10)

    def wait_until_listening(self) -> float:
        """Wait until the broker accepts connections, and return that time on the monotonic clock."""
        deadline = time.monotonic() + RESTART_S
        while not _listens(self.settings.ports.at(self.settings.ports.kafka)):
            assert time.monotonic() < deadline, "the broker does not listen"
            time.sleep(0.05)
        return time.monotonic()

    @contextmanager
    def proxy(self) -> Iterator[TcpProxy]:
        """Start a proxy in front of the second listener, whose clients keep using the proxy."""
        ports = self.settings.ports
        host = self.settings.stack.host
        with closing(TcpProxy((host, ports.at(PROXY)), (host, ports.at(BEHIND_PROXY)))) as made:
            made.start()
            yield made

    def through_proxy(self) -> dict[str, str]:
        """Return the environment variables of a worker that connects only through the proxy."""
        return {"KOGPT2_KAFKA__BOOTSTRAP": self.settings.local(PROXY)}


@contextmanager
def own_broker(*, keep: bool) -> Iterator[BrokerProcess]:
    """Start a broker with the topics and one rolled-out tiny version per bot; at the end stop it and remove its data.

    Args:
        keep: whether to leave the data for inspection.
    """
    settings = Settings(
        home=FAULTS_HOME / "stack",
        ports=Ports(offset=free_offset(range(FIRST_OFFSET, LAST_OFFSET, OFFSET_STEP), _ports(), FAULTS_HOME)),
        stack=Stack(min_memory_mb=400, workers=0, stop_timeout_s=20),
    )
    down(settings, wipe=True, progress=_print_progress)
    for old in settings.home.glob("worker-*.log"):
        old.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "server_properties", _with_second_listener(server.server_properties))
        try:
            up(settings, only=["kafka"], progress=_print_progress, on_ready=lambda: topics_with_champions(settings))
            install_versions(settings.home)
            yield BrokerProcess(settings)
        finally:
            down(settings, wipe=not keep, progress=_print_progress)


def _with_second_listener(original):
    """Add a listener that advertises the proxy: brokers tell a client the address of the listener that it used."""

    def properties(settings: Settings, logs: Path) -> str:
        listener = f"PROXIED://{settings.local(BEHIND_PROXY)}"
        more = {
            "listeners=": f",{listener}",
            "advertised.listeners=": f",PROXIED://{settings.local(PROXY)}",
            "listener.security.protocol.map=": ",PROXIED:PLAINTEXT",
        }
        lines = []
        for line in original(settings, logs).splitlines():
            added = next((text for name, text in more.items() if line.startswith(name)), "")
            lines.append(line + added)
        return "\n".join(lines) + "\n"

    return properties


def topics_with_champions(settings: Settings) -> None:
    """Create the platform's topics, and publish version 1 as each bot's champion."""
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


def install_versions(home: Path, ordinals: Sequence[int] = ORDINALS) -> None:
    """Put version 1 of each bot into the workers' version caches, so that no registry is needed."""
    made = home / "versions"
    for bot in BOT_IDS:
        tiny_version(made / bot, bot=bot)
        for ordinal in ordinals:
            shutil.copytree(made / bot, home / "models" / f"worker-{ordinal}" / bot / "1")


def _ports() -> list[int]:
    plain = Ports()
    workers = (plain.worker_metrics + n - 1 for n in ORDINALS)
    return [plain.kafka, plain.kafka_controller, BEHIND_PROXY, PROXY, *workers]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _print_progress(line: str) -> None:
    print(f"faults: {line}", flush=True)


def keeps_home() -> bool:
    """Return whether to keep the home for inspection."""
    return bool(os.environ.get("KOGPT2_TEST_KEEP"))
