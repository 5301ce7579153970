"""Which requests of the client may still be on their way, told without a broker."""

import pytest
from kafka.errors import KafkaConnectionError, RequestTimedOutError
from kafka.future import Future

from kogpt2_chat.adapters.kafka.unanswered import Unanswered

NODE, REQUEST = 1, object()


class Connections:
    """Stands for all connections of a client: each request waits until the test decides."""

    def __init__(self) -> None:
        self.sent: list[Future] = []

    def send(self, request, node_id):
        assert (request, node_id) == (REQUEST, NODE)
        self.sent.append(Future())
        return self.sent[-1]


@pytest.fixture
def connections() -> Connections:
    return Connections()


@pytest.mark.parametrize("error", [KafkaConnectionError("lost"), RequestTimedOutError("late")], ids=str)
def test_a_request_without_an_answer_is_counted_before_it_is_sent_again(connections, error):
    """Whoever sends it again is told of the failure by the same future, and later."""
    unanswered, told = Unanswered(), []
    client = unanswered.client(net=object(), manager=connections)
    client.send(NODE, REQUEST).add_errback(lambda _: told.append(unanswered.count))
    connections.sent[0].failure(error)
    assert told == [1]


def test_an_answer_is_not_counted_whatever_it_says(connections):
    """A refusal that can be tried again is usual: each transaction waits so for the last one's markers."""
    unanswered = Unanswered()
    client = unanswered.client(net=object(), manager=connections)
    client.send(NODE, REQUEST)
    connections.sent[0].success("CONCURRENT_TRANSACTIONS")
    assert unanswered.count == 0
