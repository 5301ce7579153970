"""In-memory topics in which each question is answered at once."""

from collections.abc import Iterable

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import read_question
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics


class AnsweringTopics(InMemoryTopics):
    """Answers questions when they are sent, the last one first.

    Attributes:
        answer_by_question: the answers to known questions; the answer to another question repeats it with "!".
    """

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self.answer_by_question: dict[str, str] = {}

    def send(self, records: Iterable[Outgoing]) -> None:
        """Send the records, and an answer to each question among them."""
        sent = list(records)
        super().send(sent)
        questions = [item for item in sent if item.topic == QUESTION_TOPIC]
        for number, item in reversed(list(enumerate(questions))):
            question = read_question(item.value, 0, number)
            headers = {
                "turn_id": question.turn_id,
                "question_id": question.question_id,
                "model_version": "3",
                "epoch": "2",
                "latency_ms": "41",
            }
            answer = self.answer_by_question.get(question.text, f"{question.text}!")
            super().send(
                [Outgoing(topic=question.bot, key=question.sender.encode(), value=answer.encode(), headers=headers)]
            )
