"""All workers of a bot, as a command reaches them: what they were told, what they speak, and how to tell them more.

Publishes ``rollout_state`` and listens to ``worker_state``. Knows nothing of the registry and its aliases.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.liveness import Roll, RollCall
from kogpt2_chat.domain.rollout.recovery import FROM_WORKERS, recollected, sentence
from kogpt2_chat.domain.rollout.states import RolloutState, VersionKey, WorkerState, is_newer, next_epoch
from kogpt2_chat.errors import Conflict, InvalidMessage
from kogpt2_chat.ports import Outgoing, Topics
from kogpt2_chat.settings import Settings

_PUBLICATIONS: Final = 3
"""Each further one means that somebody else published for this bot in the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time for people to read, seconds to wait by, and how to let them pass between two looks."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All workers, as they are reached through the topics."""

    topics: Topics
    settings: Settings
    progress: Callable[[str], None]
    clock: Clock = Clock()
    _roll_call: RollCall = field(init=False, default_factory=RollCall)

    def standing(self, bot: str) -> tuple[RolloutState, bool]:
        """What the workers follow, and whether the topic will go on saying so.

        It does not where it was lost while workers live, who remember a higher epoch than it holds; and where a stale
        state stands last, which is the one that compaction keeps.

        Args:
            bot: whose state.

        Returns:
            The state (epoch 0 where nothing was ever rolled out), and whether it may stand as it is.
        """
        # Before the topic: what is published between the two reads must not look like something lost.
        remembered = recollected(bot, self._states())
        followed, last = self._told(bot)
        if followed is None:
            return remembered, remembered.epoch == 0
        if followed.epoch < remembered.epoch and followed.champion is None:  # said while no worker was to be heard
            return replace(followed, champion=remembered.champion), False
        return followed, followed == last and followed.epoch >= remembered.epoch

    def spoken(self, bot: str, standing: RolloutState) -> VersionKey | None:
        """The version that speaks: what was told, or the one before while what was told is still on its way.

        Args:
            bot: whose.
            standing: what the workers follow.

        Returns:
            The version, its digest where it is known.
        """
        states = self._states()
        heard = [state for state in states if state.epoch_by_bot.get(bot, 0) >= standing.epoch] or states
        spoken = {slot.version for state in heard if (slot := state.slot(bot)) is not None}
        if standing.previous is not None and standing.previous in spoken:
            return VersionKey(standing.previous)
        return standing.key

    def look(self) -> Roll:
        """The workers that have been heard of since the first look, and those that may yet be."""
        return self._roll_call.look(self._states(), self.clock.monotonic())

    def publish(self, state: RolloutState, by: str) -> RolloutState:
        """Tell the workers a state, signed with who asked and the time; give it as it was told."""
        signed = replace(state, by=by, at=self.clock.now().isoformat(timespec="milliseconds"))
        self.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=state.bot.encode(), value=signed.to_json().encode())])
        return signed

    def insist(self, state: RolloutState) -> RolloutState:
        """Say a state once more where workers have come back that remember a higher epoch: it is stale to them.

        Args:
            state: as it was told; another one that is followed by now is left alone.

        Returns:
            The state that is followed now, or will be.
        """
        newest, stands = self.standing(state.bot)
        if stands or newest.epoch != state.epoch:
            return newest
        return self.publish(replace(newest, epoch=next_epoch(state.bot, newest, self._states())), by=newest.by)

    def publish_until(
        self,
        bot: str,
        holds: Callable[[RolloutState], bool],
        change: Callable[[RolloutState], RolloutState],
        by: str,
    ) -> tuple[RolloutState, bool]:
        """Publish until what the workers follow is as wanted.

        Two publications at once may take the same epoch. Workers follow the first one and ignore the other, so that
        having sent the state is not enough. Compaction keeps the other one: so what is followed is said once more.

        Args:
            bot: whose state.
            holds: whether a state is as wanted.
            change: makes it so; the epoch is taken care of.
            by: who asked.

        Returns:
            The state that the workers follow now, under the epoch that they have to reach, and whether anything was
            published.

        Raises:
            Conflict: somebody else was faster each time.
        """
        self.look()  # whatever comes from now on is an answer
        for number in range(_PUBLICATIONS + 1):
            state, stands = self.standing(bot)
            epoch = next_epoch(bot, state, self._states())
            if state.reason == FROM_WORKERS and not stands:
                self.progress(f"{bot}: {sentence(state)}")
            if holds(state) and stands:
                return state, number > 0
            if holds(state):
                return self.publish(replace(state, epoch=epoch), by=state.by), True
            if number < _PUBLICATIONS:
                self.publish(replace(change(state), epoch=epoch), by=by)
        raise Conflict(
            f"{bot}: {_PUBLICATIONS} publications were each overtaken by somebody else's: a rollout is at work. "
            "Wait until it has ended, then say it again"
        )

    def _told(self, bot: str) -> tuple[RolloutState | None, RolloutState | None]:
        """What the topic says: the state that workers follow, of equal epochs the first, and the one that is last."""
        followed: RolloutState | None = None
        last: RolloutState | None = None
        starts = self.topics.start_positions(ROLLOUT_TOPIC)
        for partition, end in self.topics.end_positions(ROLLOUT_TOPIC).items():
            for record in self.topics.read(ROLLOUT_TOPIC, partition, starts[partition], end):
                try:
                    state = RolloutState.from_json(record.value or b"")
                except InvalidMessage:  # the workers pass over it as well
                    continue
                if state.bot != bot:
                    continue
                last = state
                if is_newer(state, followed):
                    followed = state
        return followed, last

    def _states(self) -> list[WorkerState]:
        states = []
        for content in self.topics.latest_by_key(WORKER_TOPIC).values():
            try:
                states.append(WorkerState.from_json(content))
            except InvalidMessage:  # one unreadable record must not stop a rollout: its worker counts as silent
                continue
        return states
