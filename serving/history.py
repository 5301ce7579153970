"""The last turns of each conversation, for models that were trained to read them. Off unless the settings say so.

Kept in memory only, by player and bot: a player's questions lie in one partition, so one worker sees all of them. After
a restart conversations begin anew.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kogpt2_chat.domain.prompt import END_ID

LONGEST_GAP: Final = timedelta(minutes=30)
"""A conversation ends after such a silence."""
MOST_CONVERSATIONS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One turn as a prompt can take it up again; its tokens mean something to its own version only."""

    turn_id: str
    version: int
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    at: datetime

    @property
    def ids(self) -> tuple[int, ...]:
        """Question and answer, closed."""
        return (*self.prompt_ids, *self.answer_ids, END_ID)


class History:
    """Conversations of one worker.

    Args:
        turns: how many earlier turns a prompt may hold; 0 remembers nothing.
        max_tokens: bound of a whole prompt.
    """

    def __init__(self, turns: int, max_tokens: int) -> None:
        self._turns = turns
        self._max_tokens = max_tokens
        self._said: OrderedDict[tuple[str, str], deque[Said]] = OrderedDict()

    def before(self, player: str, bot: str, version: int, prompt_ids: Sequence[int], now: datetime) -> list[Said]:
        """The turns that a prompt should begin with, oldest first, as many as fit."""
        said = self._said.get((player, bot), deque())
        if not said or now - said[-1].at > LONGEST_GAP:
            return []
        room, chosen = self._max_tokens - len(prompt_ids), deque[Said]()
        for turn in reversed(said):
            room -= len(turn.ids)
            if room < 0 or turn.version != version:
                break
            chosen.appendleft(turn)
        return list(chosen)

    def remember(self, player: str, bot: str, said: Said) -> None:
        """Add a turn; one that was answered before and is answered again takes its own place."""
        if not self._turns:
            return
        turns = self._said.setdefault((player, bot), deque(maxlen=self._turns))
        if turns and turns[-1].turn_id == said.turn_id:
            turns.pop()
        turns.append(said)
        self._said.move_to_end((player, bot))
        while len(self._said) > MOST_CONVERSATIONS:
            self._said.popitem(last=False)
