"""Read and publish the state of a bot, read the workers' reports, and wait for the workers.

Writes ``rollout_state`` and reads ``worker_state``. Does not use the registry.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.acknowledgements import Acknowledgements
from kogpt2_chat.domain.rollout.liveness import LivenessReport, LivenessTracker
from kogpt2_chat.domain.rollout.recovery import reconstruct, sentence
from kogpt2_chat.domain.rollout.states import HEARTBEAT_S, RolloutState, VersionKey, WorkerState, is_newer, next_epoch
from kogpt2_chat.errors import AlreadyRunning, InvalidMessage
from kogpt2_chat.ports import Outgoing, Topics
from kogpt2_chat.settings import Settings

_PUBLICATIONS: Final = 3
"""Maximum number of attempts. Each one after the first means that another program published at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The clock of a command; tests replace it.

    Attributes:
        now: returns the time, for records.
        monotonic: returns seconds, for deadlines.
        pause: sleeps for a number of seconds.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    """The state that the workers follow.

    Attributes:
        state: the state.
        is_current: whether workers that read the topic from its start follow this state too, so that it need not be
            published again.
        is_reconstructed: whether the topic has no state, so that this one comes from the workers' heartbeats.
    """

    state: RolloutState
    is_current: bool
    is_reconstructed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All workers, reached through the topics.

    Attributes:
        topics: Kafka.
        settings: how long to wait for workers.
        progress: called with a line for the user on each change.
        clock: the time.
    """

    topics: Topics
    settings: Settings
    progress: Callable[[str], None]
    clock: Clock = Clock()
    _liveness: LivenessTracker = field(init=False, default_factory=LivenessTracker)

    def effective_state(self, bot: str) -> tuple[RolloutState, bool]:
        """Return the state that the workers follow, and whether the topic still contains it as the valid one.

        False if the topic was lost while workers kept running (they remember a higher epoch than the topic contains),
        or if the topic's last record is stale (compaction would keep that record).

        Args:
            bot: the bot.

        Returns:
            The state (epoch 0 if nothing was ever rolled out), and whether it need not be published again.
        """
        followed = self._followed(bot)
        return followed.state, followed.is_current

    def _followed(self, bot: str) -> "_Followed":
        # Read the heartbeats before the topic: a state published between the two reads must not look like a lost one.
        remembered = reconstruct(bot, self.worker_states())
        followed, last = self._published(bot)
        if followed is None:
            is_empty = remembered.epoch == 0
            return _Followed(state=remembered, is_current=is_empty, is_reconstructed=not is_empty)
        if followed.epoch < remembered.epoch and followed.champion is None:  # published before any heartbeat arrived
            return _Followed(state=replace(followed, champion=remembered.champion), is_current=False)
        return _Followed(state=followed, is_current=followed == last and followed.epoch >= remembered.epoch)

    def served_version(self, bot: str, followed: RolloutState) -> VersionKey | None:
        """Return the version that answers now.

        That is the published champion, or the previous one if workers still serve it while the champion loads.

        Args:
            bot: the bot.
            followed: the state that the workers follow.

        Returns:
            The version, with its digest if known.
        """
        states = self.worker_states()
        current = [state for state in states if state.epoch_by_bot.get(bot, 0) >= followed.epoch] or states
        served = {slot.version for state in current if (slot := state.slot(bot)) is not None}
        if followed.previous is not None and followed.previous in served:
            return VersionKey(followed.previous)
        return followed.key

    def observe(self) -> LivenessReport:
        """Read the heartbeats. Return the workers that are alive, and those that may be."""
        return self._liveness.observe(self.worker_states(), self.clock.monotonic())

    def live_workers(self) -> tuple[WorkerState, ...]:
        """Return the last reports of the workers that are alive: those that send a heartbeat within one interval."""
        for report in self._observations(HEARTBEAT_S + 1):
            if not report.maybe_alive:
                break
        return report.live

    def worker_states(self) -> list[WorkerState]:
        """Return the last report of every worker that has not signed off, including crashed ones."""
        states = []
        for content in self.topics.latest_by_key(WORKER_TOPIC).values():
            try:
                states.append(WorkerState.from_json(content))
            except InvalidMessage:  # an unreadable record must not stop a rollout: it does not count as a heartbeat
                continue
        return states

    def wait_for_workers(
        self,
        state: RolloutState,
        *,
        group: Callable[[RolloutState, LivenessReport], Acknowledgements],
        require: Callable[[RolloutState], None],
        ready: str = "ready",
    ) -> tuple[Acknowledgements, RolloutState]:
        """Wait until every live worker has acknowledged a state, one is degraded, or the time is up.

        If the state becomes stale in the meantime, it is published again with a higher epoch. Each change is reported
        to the user.

        Args:
            state: the state as published.
            group: groups the workers by how they have acknowledged a state.
            require: called at each observation with the state that the workers follow; raises if it is no longer the
                wanted one.
            ready: the word for ready workers in the report.

        Returns:
            The acknowledgements at the last observation, and the state that they refer to.
        """
        shown = ""
        for report in self._observations(self.settings.rollout.ready_timeout_s):
            state = self.republish_if_stale(state)
            require(state)
            answers = group(state, report)
            if (sentence := answers.sentence(ready)) != shown:
                self.progress(f"{state.bot}: {sentence}")
                shown = sentence
            if answers.decided:
                break
        return answers, state

    def publish(self, state: RolloutState, by: str) -> RolloutState:
        """Publish a state with its author and the time, and return it as published."""
        signed = replace(state, by=by, at=self.clock.now().isoformat(timespec="milliseconds"))
        self.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=state.bot.encode(), value=signed.to_json().encode())])
        return signed

    def republish_if_stale(self, state: RolloutState) -> RolloutState:
        """Publish a state again, with a higher epoch, if it is stale for workers that remember a higher one.

        Args:
            state: the state as published. If the workers follow another state by now, nothing is published.

        Returns:
            The state that the workers follow, or will follow.
        """
        newest, is_current = self.effective_state(state.bot)
        if is_current or newest.epoch != state.epoch:
            return newest
        return self.publish(replace(newest, epoch=next_epoch(state.bot, newest, self.worker_states())), by=newest.by)

    def publish_until(
        self,
        bot: str,
        holds: Callable[[RolloutState], bool],
        change: Callable[[RolloutState], RolloutState],
        by: str,
    ) -> tuple[RolloutState, bool]:
        """Publish until the workers follow a state that meets a condition.

        Sending a state once is not sufficient: two programs may publish with the same epoch. If two records share an
        epoch, workers follow the first and ignore the other, but compaction keeps the last. The followed state is
        then published again.

        Args:
            bot: the bot.
            holds: checks whether a state is as wanted.
            change: returns the wanted state for the given one; its epoch is set here.
            by: who requested the change.

        Returns:
            The state that the workers follow, with the epoch to wait for, and whether anything was published.

        Raises:
            AlreadyRunning: another program published first each time.
        """
        self.observe()  # heartbeats that change from now on are acknowledgements
        for number in range(_PUBLICATIONS + 1):
            followed = self._followed(bot)
            state = followed.state
            epoch = next_epoch(bot, state, self.worker_states())
            if followed.is_reconstructed:
                self.progress(f"{bot}: {sentence(state)}")
            if holds(state) and followed.is_current:
                return state, number > 0
            if holds(state):
                return self.publish(replace(state, epoch=epoch), by=state.by), True
            if number < _PUBLICATIONS:
                self.publish(replace(change(state), epoch=epoch), by=by)
        raise AlreadyRunning(
            f"{bot}: another program published first in {_PUBLICATIONS} attempts: another rollout of this bot is in "
            "progress. Retry when it has finished"
        )

    def _published(self, bot: str) -> tuple[RolloutState | None, RolloutState | None]:
        """Return from the topic the state that workers follow (the first one of the highest epoch) and the last one."""
        followed: RolloutState | None = None
        last: RolloutState | None = None
        starts = self.topics.start_positions(ROLLOUT_TOPIC)
        for partition, end in self.topics.end_positions(ROLLOUT_TOPIC).items():
            for record in self.topics.read(ROLLOUT_TOPIC, partition, starts[partition], end):
                try:
                    state = RolloutState.from_json(record.value or b"")
                except InvalidMessage:  # workers skip it too
                    continue
                if state.bot != bot:
                    continue
                last = state
                if is_newer(state, followed):
                    followed = state
        return followed, last

    def _observations(self, timeout_s: float) -> Iterator[LivenessReport]:
        """Observe the workers at intervals until the time is up, at least once."""
        deadline_s = self.clock.monotonic() + timeout_s
        yield self.observe()
        while self.clock.monotonic() < deadline_s:
            self.clock.pause(self.settings.rollout.poll_s)
            yield self.observe()
