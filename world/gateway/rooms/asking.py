"""Questions to bots: which are waiting, who sees the answers, and what players may say about them."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from msgspec.structs import replace as replace_event

from kogpt2_chat.client.answer_matcher import AnswerMatcher, PendingQuestion
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK
from kogpt2_chat.ports import Record
from world.gateway.protocol.commands import MAX_QUESTION_CHARS, Ask
from world.gateway.protocol.events import Answered, Thinking, Unanswered
from world.gateway.refused import Refused
from world.gateway.rooms.onlookers import Onlookers
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.texts import checked_text
from world.gateway.rules.tokens import Guest

ANSWER_S: Final = 12.0
"""How long the bots may take: the ``reply_by`` of a question."""
WAIT_S: Final = 14.0
"""How long the gateway waits for the answer before it says that there is none. A player waits 15 s at most."""
MOST_WAITING: Final = 500
KEPT_ENDED: Final = 5_000
KEPT_ENDED_S: Final = 600.0
"""How long a player who comes back is told again how a question has ended."""
SAFETY: Final = "safety"
MODEL: Final = "model"
"""The source whose answers onlookers may read, if the question was shared."""
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
        self._rooms, self._onlookers = rooms, Onlookers(rooms)
        self._matcher = AnswerMatcher(WAIT_S)
        self._waiting: dict[str, AskedQuestion] = {}
        self._id_by_asker: dict[tuple[str, str], str] = {}
        self._unknown: dict[str, tuple[float, AskedQuestion]] = {}
        self._ended: OrderedDict[str, tuple[float, Answered | Unanswered]] = OrderedDict()
        self._now_s = float("-inf")
        self._late: dict[str, tuple[float, AskedQuestion]] = {}

    def __len__(self) -> int:
        """Return the number of questions that wait for an answer."""
        return len(self._waiting)

    def ask(self, seat: Seat, command: Ask, now_s: float, send: Callable[[AskedQuestion], None]) -> None:
        """Ask a bot. A question that the player has asked before is not sent again.

        Args:
            seat: the player.
            command: the question.
            now_s: the time in monotonic seconds.
            send: sends the question to the bots, or raises ``Refused``.

        Raises:
            Refused: the text is empty or too long, the player waits for another answer of this bot, too many
                questions wait, or the question cannot be sent.
        """
        text = checked_text(command.text, MAX_QUESTION_CHARS)
        guest = seat.guest
        question_id = asked_id(guest.id, command.id)
        if self._is_known(question_id):
            self.repeat(seat, [command.id], now_s)
            return
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
        send(question)  # Its answer comes later: records are taken between two calls of the event loop.
        self.wait(question, now_s)
        self._show_thinking(seat, question)
        self._onlookers.begin(question.id, question.bot, seat, now_s)

    def wait(self, question: AskedQuestion, now_s: float) -> None:
        """Wait for the answer to a question, also to one that an earlier process of the gateway has sent.

        A copy of a question, which any client can write, changes nothing.
        """
        if self._is_known(question.id):
            return
        self._now_s = max(self._now_s, now_s)
        self._matcher.add(question.pending, now_s)
        self._waiting[question.id] = question
        self._id_by_asker[question.guest_id, question.bot] = question.id

    def repeat(self, seat: Seat, client_ids: Sequence[str], now_s: float, *, is_resumed: bool = False) -> None:
        """Tell a player who has connected again what became of questions that its client still waits for.

        Another gateway may have sent a question that this one does not know. Its answer is awaited as long as any.

        Args:
            seat: the player.
            client_ids: the client's ids of the questions.
            now_s: the time in monotonic seconds.
            is_resumed: whether the client gets the events that it has missed, and so any of these among them.
        """
        self._now_s = max(self._now_s, now_s)
        for client_id in client_ids:
            question_id = asked_id(seat.guest.id, client_id)
            if (ended := self._ended.get(question_id)) is not None:
                if not is_resumed:
                    self._deliver(seat, ended[1])
            elif (question := self._waiting.get(question_id)) is not None:
                if not is_resumed:
                    self._show_thinking(seat, question)
            elif len(self._unknown) < MOST_WAITING:
                self._unknown.setdefault(question_id, (now_s, _unknown_question(seat.guest, client_id)))
            else:
                seat.outbox.put(Unanswered("", client_id, "unknown"))

    def accept(self, record: Record) -> None:
        """Deliver an answer, or the news that the bots cannot read a question. Other clients' records are ignored."""
        question_id = record.headers.get("question_id", "")
        _, unknown = self._unknown.get(question_id, (0, None))
        if record.topic == DEAD_LETTER_TOPIC:
            if (question := self._waiting.get(question_id, unknown)) is not None:
                self._end(question, Unanswered(question.bot, question.client_id, "refused"))
        elif (pending := self._matcher.accept(record)) is not None:
            question = self._waiting[pending.question_id]
            self._end(question, _answered(question, record))
        elif unknown is not None:
            self._end(unknown, _answered(self._as_known(unknown, record.topic), record))
        elif record.headers.get("fallback") == SAFETY:
            self._deliver_late(record)

    def expire(self, now_s: float) -> None:
        """Tell players that no answer came in time, and onlookers that a bot no longer thinks; forget old ends."""
        self._now_s = max(self._now_s, now_s)
        for pending in self._matcher.expire(now_s):
            if (question := self._waiting.get(pending.question_id)) is not None:
                self._late[question.id] = now_s, question
                self._end(question, Unanswered(question.bot, question.client_id, "timeout"))
        for since_s, question in list(self._unknown.values()):
            if now_s - since_s >= WAIT_S:
                self._late[question.id] = now_s, question
                self._end(question, Unanswered("", question.client_id, "unknown"))
        self._onlookers.show(now_s)
        self._keep_newest_ends()
        self._late = {key: late for key, late in self._late.items() if now_s - late[0] < LATE_S}

    def _is_known(self, question_id: str) -> bool:
        return question_id in self._waiting or question_id in self._ended or question_id in self._unknown

    def _as_known(self, unknown: AskedQuestion, bot: str) -> AskedQuestion:
        """Return a question that another gateway has sent, as its answer shows it."""
        seat = self._rooms.seat_of(unknown.guest_id)
        return replace(unknown, bot=bot, store=unknown.store if seat is None else seat.guest.store)

    def _deliver_late(self, record: Record) -> None:
        """Deliver a vetted answer to a player who has been told that there is none: it may still help."""
        _, late = self._late.get(record.headers.get("question_id", ""), (0, None))
        seat = None if late is None else self._rooms.seat_of(late.guest_id)
        if late is not None and seat is not None and late.bot in ("", record.topic):
            del self._late[late.id]
            answer = _answered(self._as_known(late, record.topic), record)
            self._ended[late.id] = self._now_s, answer
            self._deliver(seat, answer)

    def _end(self, question: AskedQuestion, event: Answered | Unanswered) -> None:
        self._forget(question)
        self._ended[question.id] = self._now_s, event
        self._keep_newest_ends()
        if (seat := self._rooms.seat_of(question.guest_id)) is not None:
            self._deliver(seat, event)
        if isinstance(event, Answered) and question.shared and event.source == MODEL:
            self._onlookers.end(question.id, question.text, event.text)
        else:
            self._onlookers.end(question.id)

    def _keep_newest_ends(self) -> None:
        while self._ended:
            ended_s, _ = next(iter(self._ended.values()))
            if len(self._ended) <= KEPT_ENDED and self._now_s - ended_s < KEPT_ENDED_S:
                return
            self._ended.popitem(last=False)

    def _show_thinking(self, seat: Seat, question: AskedQuestion) -> None:
        seat.outbox.put(
            Thinking(
                bot=question.bot, seat=seat.number, name=seat.guest.name, id=question.client_id, text=question.text
            )
        )

    def _deliver(self, seat: Seat, event: Answered | Unanswered) -> None:
        if isinstance(event, Answered):
            event = replace_event(event, seat=seat.number)
            if event.turn:
                seat.may_rate(event.turn, event.bot)
        seat.outbox.put(event)

    def _forget(self, question: AskedQuestion) -> None:
        self._matcher.discard(question.pending)
        self._waiting.pop(question.id, None)
        self._unknown.pop(question.id, None)
        if self._id_by_asker.get((question.guest_id, question.bot)) == question.id:
            del self._id_by_asker[question.guest_id, question.bot]


def asked_id(guest_id: str, client_id: str) -> str:
    """Return the id of a question on Kafka; at most 64 characters, as the contract allows."""
    return f"{guest_id}.{client_id}"


def _unknown_question(guest: Guest, client_id: str) -> AskedQuestion:
    """Return a question of which only the id is known."""
    return AskedQuestion(
        id=asked_id(guest.id, client_id),
        client_id=client_id,
        guest_id=guest.id,
        sender=guest.name,
        bot="",
        text="",
        shared=False,
        store=guest.store,
        learn=guest.may_learn,
        minor=guest.minor,
    )


def _answered(question: AskedQuestion, record: Record) -> Answered:
    source = record.headers.get("fallback", MODEL)
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
