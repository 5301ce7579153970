"""Questions to bots: which are waiting, who sees the answers, and what players may say about them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from kogpt2_chat.client.answer_matcher import AnswerMatcher, PendingQuestion
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK
from kogpt2_chat.ports import Record
from world.gateway.protocol.commands import MAX_QUESTION_CHARS, Ask
from world.gateway.protocol.events import Answered, Thinking, Unanswered
from world.gateway.refused import Refused
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.texts import checked_text

ANSWER_S: Final = 12.0
"""How long the bots may take: the ``reply_by`` of a question."""
WAIT_S: Final = 14.0
"""How long the gateway waits for the answer before it says that there is none. A player waits 15 s at most."""
MOST_WAITING: Final = 500
KEPT_ENDED: Final = 5_000
SAFETY: Final = "safety"
QUIET_S: Final = 3.0
"""Onlookers see the end of a question that is not for them this long after its beginning, or at its end if that is
later: an answer about a crisis comes at once, and must not be told from others by its speed."""
LATE_S: Final = 60.0
"""How long a vetted answer still reaches a player who has been told that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    """A question on its way.

    Attributes:
        id: ``question_id`` on Kafka: the guest's id and the client's id, so that two clients never share one.
        client_id: the id that the client chose.
        guest_id: who asked.
        sender: the asker's name; the key of the answer.
        bot: who was asked.
        text: the question.
        shared: whether players near the bot may see question and answer.
        store: whether the turn may be stored.
        learn: whether bots may learn from it.
        minor: whether the asker is a minor.
    """

    id: str
    client_id: str
    guest_id: str
    sender: str
    bot: str
    text: str
    shared: bool
    store: bool
    learn: bool
    minor: bool

    @property
    def pending(self) -> PendingQuestion:
        """The question as the matcher knows it."""
        return PendingQuestion(question_id=self.id, bot=self.bot, sender=self.sender)


class Asking:
    """The questions of a gateway's players.

    Args:
        rooms: the players.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._matcher = AnswerMatcher(WAIT_S)
        self._waiting: dict[str, AskedQuestion] = {}
        self._id_by_asker: dict[tuple[str, str], str] = {}
        self._ended: OrderedDict[str, Answered | Unanswered] = OrderedDict()
        self._now_s = float("-inf")
        self._asked_at_s: dict[str, float] = {}
        self._quiet: list[tuple[float, AskedQuestion]] = []
        self._late: dict[str, tuple[float, AskedQuestion]] = {}

    def __len__(self) -> int:
        """Return the number of questions that wait for an answer."""
        return len(self._waiting)

    def ask(self, seat: Seat, command: Ask, now_s: float) -> AskedQuestion | None:
        """Accept a question. The caller sends it, and calls :meth:`fail` if that is not possible.

        Returns:
            The question; None if the player has asked it before, and waits for its answer or has it.

        Raises:
            Refused: the text is empty or too long, the player waits for another answer of this bot, or too many
                questions wait.
        """
        text = checked_text(command.text, MAX_QUESTION_CHARS)
        guest = seat.guest
        question_id = asked_id(guest.id, command.id)
        if question_id in self._waiting or question_id in self._ended:
            self.repeat(seat, [command.id])
            return None
        if (guest.id, command.bot) in self._id_by_asker:
            raise Refused("already_asking", "the bot is still thinking about the player's last question")
        if len(self._waiting) >= MOST_WAITING:
            raise Refused("busy", f"{MOST_WAITING} questions are waiting", 5)
        question = AskedQuestion(
            id=question_id,
            client_id=command.id,
            guest_id=guest.id,
            sender=guest.name,
            bot=command.bot,
            text=text,
            shared=command.shared,
            store=guest.store,
            learn=guest.may_learn,
            minor=guest.minor,
        )
        self.wait(question, now_s)
        thinking = Thinking(bot=command.bot, seat=seat.number, name=guest.name)
        seat.outbox.put(replace(thinking, id=command.id, text=text))
        for other in self._onlookers(question, seat):
            other.outbox.put(thinking)
        return question

    def wait(self, question: AskedQuestion, now_s: float) -> None:
        """Wait for the answer to a question, also to one that an earlier process of the gateway has sent.

        A copy of a question, which any client can write, changes nothing.
        """
        if question.id in self._waiting or question.id in self._ended:
            return
        self._matcher.add(question.pending, now_s)
        self._asked_at_s[question.id] = now_s
        self._waiting[question.id] = question
        self._id_by_asker[question.guest_id, question.bot] = question.id

    def repeat(self, seat: Seat, client_ids: Sequence[str], *, is_resumed: bool = False) -> None:
        """Tell a player who has connected again what became of questions that its client still waits for.

        Args:
            seat: the player.
            client_ids: the client's ids of the questions.
            is_resumed: whether the client gets the events that it has missed, and so any answer among them.
        """
        for client_id in client_ids:
            question_id = asked_id(seat.guest.id, client_id)
            if (event := self._ended.get(question_id)) is not None:
                if not is_resumed:
                    self._deliver(seat, event)
            elif question_id not in self._waiting:
                seat.outbox.put(Unanswered("", client_id, "unknown"))

    def fail(self, question: AskedQuestion) -> None:
        """Forget a question that could not be sent."""
        self._matcher.discard(question.pending)
        self._forget(question)

    def accept(self, record: Record) -> None:
        """Deliver an answer, or the news that the bots cannot read a question. Other clients' records are ignored."""
        if record.topic == DEAD_LETTER_TOPIC:
            question = self._waiting.get(record.headers.get("question_id", ""))
            if question is not None:
                self._matcher.discard(question.pending)
                self._end(question, Unanswered(question.bot, question.client_id, "refused"))
            return
        pending = self._matcher.accept(record)
        question = None if pending is None else self._waiting.get(pending.question_id)
        if question is not None:
            self._end(question, _answered(question, record))
        elif record.headers.get("fallback") == SAFETY:
            self._deliver_late(record)

    def expire(self, now_s: float) -> None:
        """Tell players that no answer came in time, and onlookers that a bot no longer thinks."""
        self._now_s = now_s
        for pending in self._matcher.expire(now_s):
            if (question := self._waiting.get(pending.question_id)) is not None:
                self._late[question.id] = now_s, question
                self._end(question, Unanswered(question.bot, question.client_id, "timeout"))
        due = [question for due_s, question in self._quiet if due_s <= now_s]
        self._quiet = [(due_s, question) for due_s, question in self._quiet if due_s > now_s]
        for question in due:
            self._show_onlookers(question, None)
        self._late = {key: late for key, late in self._late.items() if now_s - late[0] < LATE_S}

    def _deliver_late(self, record: Record) -> None:
        """Deliver a vetted answer to a player who has been told that there is none: it may still help."""
        late = self._late.get(record.headers.get("question_id", ""))
        seat = None if late is None else self._rooms.seat_of(late[1].guest_id)
        if late is not None and seat is not None and record.topic == late[1].bot:
            del self._late[late[1].id]
            self._deliver(seat, _answered(late[1], record))

    def _end(self, question: AskedQuestion, event: Answered | Unanswered) -> None:
        asked_at_s = self._asked_at_s.get(question.id, self._now_s)
        self._forget(question)
        self._ended[question.id] = event
        while len(self._ended) > KEPT_ENDED:
            self._ended.popitem(last=False)
        seat = self._rooms.seat_of(question.guest_id)
        if seat is None:
            return
        self._deliver(seat, event)
        if isinstance(event, Answered) and question.shared and event.source != SAFETY:
            self._show_onlookers(question, event)
        else:
            self._quiet.append((asked_at_s + QUIET_S, question))

    def _show_onlookers(self, question: AskedQuestion, event: Answered | None) -> None:
        """Show players near the bot whom it has answered, and the texts if the event is given."""
        seat = self._rooms.seat_of(question.guest_id)
        if seat is None:
            return
        seen = Answered(bot=question.bot, seat=seat.number, name=question.sender)
        if event is not None:
            seen = replace(seen, question=question.text, text=event.text, source=event.source)
        for other in self._onlookers(question, seat):
            other.outbox.put(seen)

    def _deliver(self, seat: Seat, event: Answered | Unanswered) -> None:
        if isinstance(event, Answered):
            event = replace(event, seat=seat.number)
            if event.turn:
                seat.may_rate(event.turn, event.bot)
        seat.outbox.put(event)

    def _forget(self, question: AskedQuestion) -> None:
        self._waiting.pop(question.id, None)
        self._asked_at_s.pop(question.id, None)
        if self._id_by_asker.get((question.guest_id, question.bot)) == question.id:
            del self._id_by_asker[question.guest_id, question.bot]

    def _onlookers(self, question: AskedQuestion, seat: Seat) -> list[Seat]:
        return [
            other
            for other in self._rooms.room_of(seat)
            if other is not seat and other.hears(seat) and self._rooms.is_near(other, question.bot)
        ]


def asked_id(guest_id: str, client_id: str) -> str:
    """Return the id of a question on Kafka; at most 64 characters, as the contract allows."""
    return f"{guest_id}.{client_id}"


def _answered(question: AskedQuestion, record: Record) -> Answered:
    source = record.headers.get("fallback", "model")
    is_rated = source not in NOTICE_BY_FALLBACK and source != SAFETY and question.store
    version = record.headers.get("model_version", "0")
    return Answered(
        bot=question.bot,
        seat=0,
        name=question.sender,
        id=question.client_id,
        question=question.text,
        text=(record.value or b"").decode("utf-8", "replace"),
        turn=record.headers.get("turn_id", "") if is_rated else "",
        version=int(version) if version.isdecimal() else 0,
        source=source,
    )
