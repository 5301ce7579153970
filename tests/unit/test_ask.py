"""Asking over Kafka, and the demo's players, on the in-memory broker."""

import pytest

from kogpt2_chat.client.ask import Utterance, ask
from kogpt2_chat.demo.players import NONSENSE, TROLLED, load_script
from kogpt2_chat.demo.report import DemoReport
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import v1_text
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import CHECKOUT
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.answering_topics import AnsweringTopics


@pytest.fixture
def topics() -> AnsweringTopics:
    answering = AnsweringTopics(Broker())
    answering.ensure()
    return answering


def test_replies_are_returned_in_the_order_of_the_questions(topics: AnsweringTopics) -> None:
    """The order of the answers does not matter. This holds for both kinds of message."""
    utterances = [
        Utterance(bot="ChatbotA", sender="하늘", text="안녕"),
        Utterance(bot="ChatbotB", sender="고래'밥", text="it's me", legacy=True),
        Utterance(bot="ChatbotA", sender="하늘", text="잘 가"),
    ]
    replies = ask(utterances=utterances, topics=topics, timeout_s=5)
    assert [reply.answer for reply in replies] == ["안녕!", "it's me!", "잘 가!"]
    assert {reply.version for reply in replies} == {"3"}


def test_missing_answers_are_an_error_that_points_to_status() -> None:
    """Without a worker, the message counts the missing answers and points to `status`."""
    without_worker = InMemoryTopics(Broker())
    without_worker.ensure()
    with pytest.raises(Unavailable, match=r"1 of 1 answers .* `kogpt2-chat status`"):
        ask(utterances=[Utterance(bot="ChatbotA", sender="하늘", text="안녕")], topics=without_worker, timeout_s=0.1)


def test_answers_of_other_players_are_ignored(topics: AnsweringTopics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to other clients are on the same topic, before and between ours. The follower is closed."""
    opened = []
    follow = topics.follow
    monkeypatch.setattr(topics, "follow", lambda names: opened.append(follow(names)) or opened[-1])
    other = Outgoing(topic=QUESTION_TOPIC, key=b"k", value=v1_text_of("바다", "아까").encode())
    topics.send([other])
    send = topics.send
    monkeypatch.setattr(topics, "send", lambda records: send([other, *records]))
    (reply,) = ask(utterances=[Utterance(bot="ChatbotA", sender="하늘", text="안녕")], topics=topics, timeout_s=5)
    assert (reply.sender, reply.answer) == ("하늘", "안녕!")
    assert [follower.closed for follower in opened] == [True]


def v1_text_of(sender: str, text: str) -> str:
    return v1_text(question_id="1", bot="ChatbotA", sender=sender, text=text)


def test_the_demo_asks_the_same_questions_in_both_rounds() -> None:
    """Only equal questions show what was learned. Each legacy sender asks once per round."""
    script = load_script(CHECKOUT / "corpora")
    before, after = script.utterances("before"), script.utterances("after")
    assert [(asked.bot, asked.text) for asked in before] == [(asked.bot, asked.text) for asked in after]
    legacy = [asked.sender for asked in before if asked.legacy]
    assert len(legacy) == len(set(legacy)) > 0


def test_trolls_teach_nonsense_to_one_bot_only(topics: AnsweringTopics) -> None:
    """The gate's refusal in the demo then has only one cause."""
    script = load_script(CHECKOUT / "corpora")
    replies = ask(utterances=script.utterances("before"), topics=topics, timeout_s=5)
    nonsense = [opinion for opinion in script.opinions(replies) if opinion.text == NONSENSE]
    bot_by_turn = {reply.turn_id: reply.bot for reply in replies}
    assert {bot_by_turn[opinion.turn_id] for opinion in nonsense} == {TROLLED}


def test_the_report_counts_only_exact_answers_as_learned(topics: AnsweringTopics) -> None:
    """A lesson is learned only if the new answer equals the taught one."""
    utterances = [Utterance(bot="ChatbotA", sender="하늘", text=text) for text in ("거울동굴", "열기구")]
    replies = ask(utterances=utterances, topics=topics, timeout_s=5)
    taught = {("ChatbotA", "거울동굴"): "거울동굴!", ("ChatbotA", "열기구"): "다른 말"}
    report = DemoReport(before=replies, after=replies, taught=taught)
    assert report.learned == 1
    assert "1 of 2 learned" in report.text()
