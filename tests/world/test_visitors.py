"""The demo's players in the world."""

import time

from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.client.feedback import Opinion
from kogpt2_chat.demo.visitors import WorldVisitors
from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback
from tests.world.served import EchoBot, in_memory_topics, serve
from tests.world.waiting import wait_until

STEP_S = 0.1


def pause(seconds: float) -> None:
    """Run instead of walking; wait as long as the gateway asks for."""
    if seconds > STEP_S:
        time.sleep(seconds)


def test_visitors_walk_ask_and_teach_in_the_world() -> None:
    """Answers are in the order of the questions, and each player rates its own; a second round is the same players."""
    topics = in_memory_topics()
    bot = EchoBot(topics)
    bot.fallbacks["무서워"] = "safety"
    said = [
        ("하늘", "ChatbotA", "하나"),
        ("{해적}왕", "ChatbotB", "둘"),
        ("하늘", "ChatbotC", "셋"),
        ("하늘", "ChatbotA", "무서워"),
    ]
    utterances = [Utterance(sender=sender, bot=to, text=text, train=True) for sender, to, text in said]
    with serve(topics) as served:
        visitors = WorldVisitors(served.url, pause=pause)
        replies = visitors.ask(utterances)
        assert [reply.answer for reply in replies] == ["하나!", "둘!", "셋!", "무서워!"]
        assert [bool(reply.turn_id) for reply in replies] == [True, True, True, False]
        assert replies[3].fallback == "safety"
        opinions = [
            Opinion(turn_id=replies[0].turn_id, player_id="하늘", kind="up"),
            Opinion(turn_id=replies[1].turn_id, player_id="{해적}왕", kind="correction", text="둘이에요!"),
        ]
        assert visitors.rate(opinions) == 2
        wait_until(lambda: len(topics._broker.all(FEEDBACK_TOPIC)) == 2)
        again = visitors.ask(utterances[:1])
        assert again[0].answer == "하나!"
        assert len(served.gateway.rooms) == 2
        visitors.leave()
        wait_until(lambda: len(served.gateway.rooms) == 0)
    bot.stop()
    sent = [Feedback.from_json(record.value or b"") for record in topics._broker.all(FEEDBACK_TOPIC)]
    assert {(one.kind, one.text, one.consent_train) for one in sent} == {
        ("up", None, True),
        ("correction", "둘이에요!", True),
    }
    asked = {question.text: question for question in bot.asked}
    assert asked["하나"].player_id == asked["셋"].player_id != asked["둘"].player_id
    assert all(question.authenticated and question.consent_train for question in bot.asked)


def test_a_visitor_with_many_questions_keeps_to_the_limits() -> None:
    """Whoever asks as fast as it can is muted for half a minute, again and again."""
    topics = in_memory_topics()
    bot = EchoBot(topics)
    utterances = [Utterance(sender="하늘", bot="ChatbotA", text=f"질문 {number}", train=False) for number in range(5)]
    with serve(topics) as served:
        visitors = WorldVisitors(served.url, pause=pause)
        assert len(visitors.ask(utterances)) == 5
        (seat,) = served.gateway.rooms
        assert not seat.limits._strikes
        visitors.leave()
    bot.stop()
