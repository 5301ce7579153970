"""The rollout follower of one worker, with an in-memory registry and in-memory topics."""

import threading
from pathlib import Path

from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.engine import BotModel
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from kogpt2_chat.testing.registry import InMemoryRegistry
from serving.rollout_follower import RolloutFollower
from serving.slot import Slots
from serving.version_cache import VersionCache


class OneWorker:
    """A worker's rollout follower, which runs each time :meth:`pause` is called.

    Attributes:
        corrupt: versions that do not load.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topics = InMemoryTopics(Broker())
        self.topics.ensure()
        self.registry = InMemoryRegistry()
        self.slots = Slots()
        self.corrupt: set[str] = set()
        versions = VersionCache(
            folder=folder, registry=lambda: self.registry, load=self.load, make_engine=ScriptedEngine
        )
        self.follower = RolloutFollower(
            topics=self.topics, slots=self.slots, versions=versions, worker="worker-1", every_s=0.01
        )
        self._pausing = threading.Event()

    def load(self, folder: Path) -> BotModel:
        if folder.name in self.corrupt:
            raise CheckpointCorrupt(f"{folder.name}: model.safetensors: 해시가 다름")
        return ScriptedModel(folder.name)

    def pause(self, seconds: float) -> None:
        self.follower.run_once()
        self.follower.run_once()
        self._pausing.wait(seconds)

    def train(self, bot: str) -> int:
        run_id = self.registry.start_run("학습", {}, {})
        self.registry.runs[run_id].files["version/model.json"] = b"{}"
        return self.registry.add_version(bot, run_id, "version", {"gate": "pass"})
