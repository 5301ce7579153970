"""Bring every live worker to one version of a bot, or back to the old one.

Publishes ``rollout_state`` and listens to ``worker_state``. Knows nothing of the registry and its aliases.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.recollection import FROM_WORKERS, recollected, sentence
from kogpt2_chat.domain.roll_call import Roll, RollCall
from kogpt2_chat.domain.rollout import Answers, RolloutState, WorkerState, is_news, next_epoch, rollout_answers
from kogpt2_chat.domain.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.errors import Conflict, InvalidMessage, Unavailable
from kogpt2_chat.ports import Outgoing, Topics
from kogpt2_chat.settings import Settings

_PUBLICATIONS: Final = 3
"""Each further one means that somebody else published for this bot in the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One change of a bot's champion.

    Attributes:
        target: the version that is to speak.
        old: the champion until now; None for a bot's first version.
        previous: what ``previous`` is to be afterwards.
        reason: why, for whoever reads the topic.
        by: who asked.
        digests: of the target and the old version, by number; see :class:`kogpt2_chat.domain.rollout.RolloutState`.
    """

    bot: str
    target: int
    old: int | None
    previous: int | None
    reason: str
    by: str
    digests: Mapping[int, str] = field(default_factory=dict)

    def digest(self, version: int | None) -> str:
        """Of one of the two; empty where it is not known."""
        return "" if version is None else self.digests.get(version, "")

    def asks_for(self, state: RolloutState) -> bool:
        """Whether a state names the target, and not another version that had its number before."""
        return _names(state, self.target) and not _differ(state.digest, self.digest(self.target))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time for people to read, seconds to wait by, and how to let them pass between two looks."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
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

    def bring_about(
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

    def switch(self, switch: Switch) -> tuple[RolloutState, Answers]:
        """Publish a version and wait until every live worker has it ready.

        A state that names the version already was published by a call that did not finish: it is waited
        for, not published again.

        Args:
            switch: the change.

        Returns:
            The state that the workers follow now, and their answers.

        Raises:
            Conflict: another rollout of this bot published a state meanwhile; its outcome counts.
            Unavailable: a worker could not load the version, or not in time, or none is alive. The old
                champion has been published again.
        """
        before, _ = self.standing(switch.bot)
        state, _ = self.bring_about(
            switch.bot,
            # Somebody's mute is published over, and kept; another rollout's champion is not fought.
            holds=lambda state: switch.asks_for(state) or state.champion != before.champion,
            change=lambda state: RolloutState(
                bot=switch.bot,
                epoch=0,
                champion=switch.target,
                digest=switch.digest(switch.target),
                previous=switch.previous,
                muted=state.muted,
                reason=switch.reason,
            ),
            by=switch.by,
        )
        if not switch.asks_for(state):
            raise _overtaken(switch, state)
        self.progress(f"{switch.bot}: version {switch.target} is published as epoch {state.epoch}")
        answers = self._wait(switch, state)
        newest, _ = self.standing(switch.bot)
        if not switch.asks_for(newest):
            raise _overtaken(switch, newest)
        if not answers.complete:
            self._put_back(switch, answers, before.previous)
        return newest, answers

    def _wait(self, switch: Switch, state: RolloutState) -> Answers:
        deadline_s = self.clock.monotonic() + self.settings.rollout.ready_timeout_s
        told = ""
        while True:
            roll, state = self.look(), self.insist(state)
            if not switch.asks_for(state):
                raise _overtaken(switch, state)
            answers = rollout_answers(switch.bot, switch.target, state.epoch, roll.live, roll.perhaps_alive)
            if (sentence := _sentence(answers)) != told:
                self.progress(f"{switch.bot}: {sentence}")
                told = sentence
            if answers.complete or answers.degraded or self.clock.monotonic() >= deadline_s:
                return answers
            self.clock.pause(self.settings.rollout.poll_s)

    def _put_back(self, switch: Switch, answers: Answers, previous: int | None) -> None:
        why = f"version {switch.target} was not taken up: {_sentence(answers)}"
        restored, _ = self.bring_about(
            switch.bot,
            # A champion that is told again has nothing behind it that could be put back.
            holds=lambda state: switch.old == switch.target or not _names(state, switch.target),
            # Whether the bot is muted is not this rollout's business, and may have changed meanwhile.
            change=lambda state: RolloutState(
                bot=switch.bot,
                epoch=0,
                champion=switch.old,
                digest=switch.digest(switch.old),
                # As it was: workers keep that version at hand.
                previous=previous if previous != switch.old else None,
                muted=state.muted,
                reason=why,
            ),
            by=switch.by,
        )
        if restored.champion != switch.old:
            raise _overtaken(switch, restored)
        raise Unavailable(
            f"{switch.bot}: {why}. Expected every live worker to be ready within "
            f"{self.settings.rollout.ready_timeout_s:.0f} s; "
            f"{f'version {switch.old} speaks on' if switch.old else 'the bot has no version to speak with'} "
            f"(epoch {restored.epoch}). Look at the workers with `kogpt2-chat status`, then roll out again"
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
                if is_news(state, followed):
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


def _names(state: RolloutState, version: int) -> bool:
    return state.phase == "steady" and state.champion == version


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _overtaken(switch: Switch, newest: RolloutState) -> Conflict:
    found = f"epoch {newest.epoch} (version {newest.champion}) by {newest.by!r}" if newest.epoch else "an emptied topic"
    return Conflict(
        f"{switch.bot}: version {switch.target} was overtaken by {found}: another rollout is at work, "
        "its outcome counts"
    )


def _sentence(answers: Answers) -> str:
    if not (answers.ready or answers.degraded or answers.waiting):
        return "no worker is alive"
    degraded = [f"{worker} ({answers.details.get(worker) or 'no detail'})" for worker in answers.degraded]
    groups = (("ready", answers.ready), ("degraded", degraded), ("waiting for", answers.waiting))
    return "; ".join(f"{name} {', '.join(workers)}" for name, workers in groups if workers)
