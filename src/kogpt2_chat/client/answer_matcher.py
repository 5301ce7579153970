"""Match the answers on the bots' topics to the questions that a client has sent, for any number of players at once.

Pure: it uses neither a Kafka client nor a clock. Answers to other clients on the same topics are ignored.
"""

from collections import deque
from dataclasses import dataclass

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingQuestion:
    """A question whose answer is awaited.

    Attributes:
        question_id: the id in the question. A legacy question contains none, so its id is known only to the caller.
        bot: the bot that was asked; the topic of the answer.
        sender: the player's name in the question; the key of the answer.
        legacy: whether the question has the old Unity client's frame.
    """

    question_id: str
    bot: str
    sender: str
    legacy: bool = False


class AnswerMatcher:
    """The questions of one client that wait for their answers. The cost of a call does not depend on their number.

    An answer belongs to the question with its bot, its sender and its ``question_id``. For a legacy question the
    worker uses the turn id as ``question_id``, which the client does not know. Such an answer belongs to the oldest
    pending legacy question of its bot and sender. So a legacy answer that arrives after its question has expired is
    matched to the sender's next question.

    Not thread safe.

    Args:
        timeout_s: how long a question waits for its answer.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadline_by_question: dict[PendingQuestion, float] = {}  # in the order of the deadlines
        self._legacy_by_sender: dict[tuple[str, str], deque[PendingQuestion]] = {}

    def __len__(self) -> int:
        """Return the number of pending questions."""
        return len(self._deadline_by_question)

    def add(self, question: PendingQuestion, now_s: float) -> None:
        """Wait for the answer to a question. Call this before the question is sent, or before the next ``accept``.

        Args:
            question: the question.
            now_s: the time in monotonic seconds; must not be earlier than in the previous call.

        Raises:
            InvalidInput: the sender already waits for an answer of this bot to a question with this id.
        """
        if question in self._deadline_by_question:
            raise InvalidInput(
                f"{question.sender!r} has already asked {question.bot} a question {question.question_id!r}"
            )
        self._deadline_by_question[question] = now_s + self._timeout_s
        if question.legacy:
            self._legacy_by_sender.setdefault((question.bot, question.sender), deque()).append(question)

    def discard(self, question: PendingQuestion) -> None:
        """Wait no longer for the answer to a question, if it is pending."""
        if question not in self._deadline_by_question:
            return
        del self._deadline_by_question[question]
        if question.legacy:
            sender = question.bot, question.sender
            self._legacy_by_sender[sender].remove(question)
            if not self._legacy_by_sender[sender]:
                del self._legacy_by_sender[sender]

    def accept(self, record: Record) -> PendingQuestion | None:
        """Return the question that a record answers, which then is no longer pending.

        Args:
            record: a record of a bot's topic.

        Returns:
            The question; None for a record that answers no pending question, or is not an answer at all.
        """
        sender = (record.key or b"").decode("utf-8", "replace")
        turn_id = record.headers.get("turn_id")
        question_id = record.headers.get("question_id", turn_id)
        if turn_id is None or question_id is None:
            return None
        question = PendingQuestion(question_id=question_id, bot=record.topic, sender=sender)
        if question not in self._deadline_by_question:
            pending = self._legacy_by_sender.get((record.topic, sender))
            if pending is None or question_id != turn_id:
                return None
            question = pending[0]
        self._remove(question)
        return question

    def expire(self, now_s: float) -> list[PendingQuestion]:
        """Return the questions whose time is up, oldest first. They are no longer pending.

        Args:
            now_s: the time in monotonic seconds.
        """
        expired = []
        for question, deadline_s in self._deadline_by_question.items():
            if deadline_s > now_s:
                break
            expired.append(question)
        for question in expired:
            self._remove(question)
        return expired

    def _remove(self, question: PendingQuestion) -> None:
        del self._deadline_by_question[question]
        if not question.legacy:
            return
        sender = question.bot, question.sender
        # It is the sender's oldest: answers go to the oldest question, and questions expire in their order.
        self._legacy_by_sender[sender].popleft()
        if not self._legacy_by_sender[sender]:
            del self._legacy_by_sender[sender]
