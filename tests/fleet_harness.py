"""Simulated workers that follow the published rollout state, and a clock that only moves when a job waits."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState, SlotReport, WorkerState
from kogpt2_chat.fleet.fleet import Clock
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics


@dataclass
class SimulatedWorker:
    """Acts on the newest published state each time the job waits.

    Attributes:
        alive: whether it sends heartbeats.
        stuck: whether it ignores published states; its heartbeats continue.
        broken: versions that do not load.
        serving: the version that answers; 0 if there is none.
        muted: the value in its heartbeats; None for a worker of an earlier release, which reports none.
    """

    bot: str
    name: str = "worker-1"
    alive: bool = True
    stuck: bool = False
    broken: set[int] = field(default_factory=set)
    serving: int = 0
    muted: bool | None = None

    def report(self, state: RolloutState | None, at: datetime) -> WorkerState:
        """Act on a state and return the heartbeat that follows."""
        epoch, is_degraded = 0, False
        if state is not None and not self.stuck:
            epoch, is_degraded = state.epoch, state.champion in self.broken
            if not is_degraded:
                self.serving = state.champion or 0
        slot = SlotReport(
            bot=self.bot,
            version=self.serving,
            state="degraded" if is_degraded else "ready",
            detail="model.safetensors: 해시가 다름" if is_degraded else "",
            muted=self.muted,
        )
        return WorkerState(worker=self.name, epoch_by_bot={self.bot: epoch}, slots=(slot,), at=at.isoformat())


@dataclass
class Survivor(SimulatedWorker):
    """A worker that survives the loss of the topic: it keeps its state, and ignores states with lower epochs."""

    muted: bool | None = False
    epoch: int = 0

    def report(self, state: RolloutState | None, at: datetime) -> WorkerState:
        if state is None or state.epoch <= self.epoch:
            state = RolloutState(bot=self.bot, epoch=self.epoch, champion=self.serving, muted=bool(self.muted))
        self.epoch, self.muted = state.epoch, state.muted
        return super().report(state, at)


class RacingTopics(InMemoryTopics):
    """Topics in which another program's state with the same epoch arrives just before ours, so that workers follow it.

    Args:
        topics: the topics that both programs write to.
        rivals: the other program's states, in the order of their epochs.
    """

    def __init__(self, topics: InMemoryTopics, rivals: Sequence[RolloutState]) -> None:
        super().__init__(topics._broker)
        self._rivals = list(rivals)

    def send(self, records: Iterable[Outgoing]) -> None:
        for item in records:
            if item.topic == ROLLOUT_TOPIC and self._rivals:
                rival = self._rivals[0]
                if RolloutState.from_json(item.value or b"").epoch == rival.epoch:
                    self._rivals.pop(0)
                    super().send([Outgoing(topic=ROLLOUT_TOPIC, key=item.key, value=rival.to_json().encode())])
            super().send([item])


@dataclass
class FleetHarness:
    """The topics, the workers of one bot and the clock that a job uses.

    Attributes:
        lines: the job's progress.
        waits: number of times the job has waited.
        on_wait: called each time the job waits, before the workers' heartbeats.
    """

    bot: str
    workers: list[SimulatedWorker]
    topics: InMemoryTopics = field(default_factory=lambda: InMemoryTopics(Broker()))
    settings: Settings = field(default_factory=Settings)
    lines: list[str] = field(default_factory=list)
    time: datetime = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    waits: int = 0
    on_wait: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.topics.ensure()

    @property
    def clock(self) -> Clock:
        """The job's clock."""
        return Clock(now=lambda: self.time, monotonic=self.seconds, pause=self.pause)

    def seconds(self) -> float:
        return self.time.timestamp()

    def pause(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.waits += 1
        self.on_wait()
        self.beat()

    def beat(self) -> None:
        """Let every live worker act and send its heartbeat."""
        state = self.published()
        for worker in self.workers:
            if worker.alive:
                self.send(WORKER_TOPIC, worker.name, worker.report(state, self.time).to_json())

    def send(self, topic: str, key: str, value: str) -> None:
        self.topics.send([Outgoing(topic=topic, key=key.encode(), value=value.encode())])

    def publish(self, state: RolloutState) -> None:
        self.send(ROLLOUT_TOPIC, self.bot, state.to_json())

    def published(self) -> RolloutState | None:
        """The newest state."""
        content = self.topics.latest_by_key(ROLLOUT_TOPIC).get(self.bot)
        return RolloutState.from_json(content) if content else None

    def states(self) -> Sequence[RolloutState]:
        """Every state that was ever published."""
        end = self.topics.end_positions(ROLLOUT_TOPIC)[0]
        return [RolloutState.from_json(record.value or b"") for record in self.topics.read(ROLLOUT_TOPIC, 0, 0, end)]

    def lose_topics(self) -> None:
        """Replace the broker with an empty one, as if it had lost its disk."""
        self.topics = InMemoryTopics(Broker())
        self.topics.ensure()
