"""Which requests of the client count as unanswered, tested without a broker."""

import pytest
from kafka.errors import KafkaConnectionError, RequestTimedOutError
from kafka.future import Future

from kogpt2_chat.adapters.kafka.unanswered import Unanswered

NODE, REQUEST = 1, object()


class Connections:
    """All connections of a client; each request waits until the test decides its outcome."""

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
    """The client resends it in a later callback of the same future."""
    unanswered, counts = Unanswered(), []
    client = unanswered.client(net=object(), manager=connections)
    client.send(NODE, REQUEST).add_errback(lambda _: counts.append(unanswered.count))
    connections.sent[0].failure(error)
    assert counts == [1]


def test_an_answered_request_is_not_counted(connections):
    """A retriable error is an answer too. It is normal until the markers of the previous transaction are written."""
    unanswered = Unanswered()
    client = unanswered.client(net=object(), manager=connections)
    client.send(NODE, REQUEST)
    connections.sent[0].success("CONCURRENT_TRANSACTIONS")
    assert unanswered.count == 0
