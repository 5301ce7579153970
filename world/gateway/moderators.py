"""What moderators have decided: who is muted or banned, and which lines are hidden."""

from collections.abc import Callable
from datetime import UTC, datetime

from kogpt2_chat.domain.chat.moderation import Moderation, moderation_key
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Record
from world.gateway.protocol.close_codes import FORBIDDEN
from world.gateway.protocol.events import Hidden
from world.gateway.refused import Refused
from world.gateway.rooms.rooms import Rooms


class Moderators:
    """The decisions in force, from the topic ``moderation``.

    Args:
        rooms: the players, to whom a decision applies at once.
        now: returns the time.
    """

    def __init__(self, rooms: Rooms, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._rooms, self._now = rooms, now
        self._decision_by_key: dict[str, Moderation] = {}

    def accept(self, record: Record) -> None:
        """Take a decision, unless it is known."""
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            decision = Moderation.from_json(record.value or b"")
        except InvalidMessage:  # a tombstone, or a record of another writer
            self._decision_by_key.pop(key, None)
            return
        if self._decision_by_key.get(key) != decision:
            self._decision_by_key[key] = decision
            self._apply(decision)

    def is_banned(self, guest_id: str) -> bool:
        """Return whether a guest is banned."""
        return self._in_force(moderation_key("ban", guest_id))

    def raise_if_muted(self, guest_id: str) -> None:
        """Check that a guest may talk.

        Raises:
            Refused: moderators have muted the guest.
        """
        if self._in_force(moderation_key("mute", guest_id)):
            raise Refused("muted", "moderators have muted this guest")

    def _in_force(self, key: str) -> bool:
        decision = self._decision_by_key.get(key)
        return decision is not None and decision.in_force(self._now())

    def _apply(self, decision: Moderation) -> None:
        if decision.action == "hide":
            self._rooms.tell_all(Hidden(decision.subject))
        if decision.action == "ban" and decision.in_force(self._now()):
            banned = moderation_key("ban", decision.subject)
            for seat in [seat for seat in self._rooms if moderation_key("ban", seat.guest.id) == banned]:
                seat.hang_up_with(FORBIDDEN, "banned")
                self._rooms.leave(seat)
