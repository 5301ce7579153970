"""The gateway over HTTP and WebSockets, on Kafka's double: the door, talk, answers, restarts and hostile clients."""

import json
import random
import time

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC, QUESTION_TOPIC
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.kafka import InMemoryTopics
from tests.world.served import EchoBot, Served, in_memory_topics, serve
from tests.world.waiting import wait_until
from world.gateway.door import COOKIE
from world.gateway.protocol.frames import TICK_HZ
from world.gateway.rooms.asking import WAIT_S
from world.gateway.stages import BotFacts


def test_the_door_gives_an_identity_that_stays(served: Served) -> None:
    """Signing in again with the cookie keeps the id and changes the name and the consent; signing out forgets it."""
    with requests.Session() as browser:
        assert browser.get(f"{served.url}/session").json()["guest"] is None
        wanted = {"name": "하늘", "store": True, "learn": True, "minor": False}
        first = browser.post(f"{served.url}/session", json=wanted)
        guest = first.json()["guest"]
        assert "httponly" in first.headers["set-cookie"].lower()
        assert "samesite=strict" in first.headers["set-cookie"].lower()
        changed = browser.post(f"{served.url}/session", json={"name": "구름", "learn": True}).json()["guest"]
        assert (changed["id"], changed["first_seen"]) == (guest["id"], guest["first_seen"])
        assert (changed["name"], changed["store"], changed["learn"]) == ("구름", False, False)
        assert browser.get(f"{served.url}/session").json()["guest"] == changed
        assert browser.delete(f"{served.url}/session").status_code == 204
        assert browser.get(f"{served.url}/session").json()["guest"] is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"name": "마루"}', "name_reserved"),
        ('{"name": "가"}', "name_length"),
        ('{"name": 7}', "message"),
        ("[]", "message"),
        ("{", "message"),
        ('{"name": "' + "a" * 5000 + '"}', "message"),
        ("[" * 4000, "message"),
    ],
)
def test_the_door_says_why_it_refuses(served: Served, body: str, reason: str) -> None:
    """As a code that the client translates."""
    reply = requests.post(f"{served.url}/session", data=body.encode())
    assert (reply.status_code, reply.json()["reason"]) == (400, reason)


def test_a_body_that_is_not_utf_8_is_refused(served: Served) -> None:
    """With a code, as every other malformed body."""
    reply = requests.post(f"{served.url}/session", data=b'{"name": "\xff\xb0"}')
    assert (reply.status_code, reply.json()["reason"]) == (400, "message")


def test_pages_of_other_origins_get_nothing(served: Served) -> None:
    """Neither an identity nor a connection, although the browser would send the cookie."""
    evil = {"Origin": "https://evil.example"}
    assert requests.post(f"{served.url}/session", json={"name": "하늘"}, headers=evil).status_code == 403
    assert requests.delete(f"{served.url}/session", headers=evil).status_code == 403
    player = WorldPlayer(served.url, "하늘")
    address = f"ws{served.url[4:]}/world"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, additional_headers={"Cookie": player.cookie}, origin="https://evil.example", proxy=None)
    assert refused.value.response.status_code == 403
    with connect(address, additional_headers={"Cookie": player.cookie}, origin=served.url, proxy=None):
        pass


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example:8000", "evil.example:8000"),
        ("http://[", "["),
        ("null", "localhost"),
        ("http://1.2.3.4", "x"),
    ],
)
def test_a_name_that_points_to_this_machine_is_another_origin(served: Served, origin: str, host: str) -> None:
    """Its owner could otherwise read what the gateway says through a visitor's browser."""
    headers = {"Origin": origin, "Host": host}
    assert requests.post(f"{served.url}/session", json={"name": "하늘"}, headers=headers).status_code == 403


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=forged", f"{COOKIE}=eyJpZCI6InctYWRtaW4ifQ.AAAA"])
def test_without_a_valid_token_there_is_no_connection(served: Served, cookie: str) -> None:
    """The client is told to sign in; nothing else is sent."""
    with connect(f"ws{served.url[4:]}/world", additional_headers={"Cookie": cookie}, proxy=None) as nobody:
        refusal = json.loads(nobody.recv(timeout=5))
        assert (refusal["t"], refusal["of"], refusal["reason"]) == ("refusal", "enter", "session")
        with pytest.raises(ConnectionClosed, match="4403"):
            nobody.recv(timeout=5)


def test_a_name_in_use_is_refused_in_words(served: Served, join) -> None:
    """The client shows that the name is taken."""
    join("하늘이")
    with pytest.raises(InvalidInput, match="name_taken"):
        join("하늘이")


def test_every_response_has_the_security_headers(served: Served) -> None:
    """Also errors."""
    for path in ("/", "/session", "/health", "/nowhere"):
        headers = requests.get(served.url + path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_players_see_each_other_walk_and_talk(join) -> None:
    """Positions agree, and lines arrive."""
    first, second = join("하늘"), join("별똥별")
    first.walk_to(4, 14, pace=lambda _: time.sleep(0.02))
    first.say("안녕!")
    assert second.wait_for(lambda event: event["t"] == "said")["text"] == "안녕!"


def test_a_question_is_answered_over_kafka(join, bot: EchoBot, topics: InMemoryTopics) -> None:
    """With the player's id and consent, a deadline, and feedback on the turn."""
    player = join("하늘", learn=True)
    sent = player.ask("ChatbotA", "호수 어디야?")
    answered = player.answer_to(sent)
    assert (answered["text"], answered["version"]) == ("호수 어디야?!", 1)
    asked = next(question for question in bot.asked if question.text == "호수 어디야?")
    assert asked.player_id.startswith("w-")
    assert (asked.sender, asked.consent_store, asked.consent_train, asked.authenticated) == ("하늘", True, True, True)
    assert asked.reply_by is not None
    player.send("rate", turn=answered["turn"], up=True)
    player.send("teach", turn=answered["turn"], text="남쪽이에요!")
    player.wait_for(lambda event: event["t"] == "noted" and event["kind"] == "correction")
    wait_until(lambda: len(topics._broker.all(FEEDBACK_TOPIC)) >= 2)
    kinds = {json.loads(record.value or b"")["kind"] for record in topics._broker.all(FEEDBACK_TOPIC)}
    assert {"up", "correction"} <= kinds


def test_a_notice_comes_before_15_seconds_are_over() -> None:
    """After 14 s of the gateway's clock, and at most a tick later."""
    topics, passed_s = in_memory_topics(), [0.0]
    with serve(topics, monotonic=lambda: time.monotonic() + passed_s[0]) as served:
        player = WorldPlayer(served.url, "기다림")
        player.enter()
        sent = player.ask("ChatbotA", "아무도 없어?")
        player.wait_for(lambda event: event["t"] == "thinking")
        passed_s[0] = WAIT_S
        end = player.answer_to(sent)
        assert (end["t"], end["reason"]) == ("unanswered", "timeout")
        player.close()
    assert WAIT_S + 2 / TICK_HZ < 15


def test_answers_of_other_clients_are_ignored(join, bot: EchoBot, topics: InMemoryTopics) -> None:
    """A Unity player with the same name asks the same bot; its answer is nobody's in the browser."""
    player = join("민수")
    legacy = "{'from' : '민수', 'to' : 'ChatbotA', 'message' : '유니티에서'}"
    topics.send([Outgoing(topic=QUESTION_TOPIC, key=None, value=legacy.encode())])
    wait_until(lambda: any(question.text == "유니티에서" for question in bot.asked))
    sent = player.ask("ChatbotA", "브라우저에서")
    assert player.answer_to(sent)["text"] == "브라우저에서!"
    time.sleep(0.2)
    assert [event for event in player.events if event["t"] == "answered"] == []


def test_forced_drops_lose_no_answer_and_show_none_twice(join, bot: EchoBot) -> None:
    """Connections are cut at random moments around the answer; the client resumes where it was.

    As the page does, it lists the questions that it saw the bot think about, and sends the others again.
    """
    draw = random.Random(12)
    sent_again = 0
    for number in range(40):
        player, text = join(f"끊김{number}"), f"끊김 {number}"
        question = player.ask("ChatbotA", text)
        time.sleep(draw.choice([0, 0.002, 0.01, 0.05]))
        player.drop()
        player.enter(last=player.last, waiting=[question] if is_confirmed(player, question) else [])
        player.send("ping", at=0)
        player.wait_for(lambda event: event["t"] == "pong")  # all missed events have come before
        if not is_confirmed(player, question):
            player.ask("ChatbotA", text, id=question)
            sent_again += 1
        assert player.answer_to(question)["text"] == f"{text}!"
        player.send("ping", at=number)
        player.wait_for(lambda event: event["t"] == "pong")
        assert not [event for event in player.events if event.get("id") == question and event["t"] == "answered"]
        player.close()
    assert sent_again < 40
    asked = [question.text for question in bot.asked if question.text.startswith("끊김")]
    assert sorted(asked) == sorted(f"끊김 {number}" for number in range(40))


def is_confirmed(player: WorldPlayer, question: str) -> bool:
    return any(event["t"] in ("thinking", "answered") and event.get("id") == question for event in player.events)


def test_a_restarted_gateway_delivers_what_came_meanwhile() -> None:
    """The question is not asked again, and the answer is shown once."""
    topics = in_memory_topics()
    echo = EchoBot(topics)
    echo.may_answer.clear()
    with serve(topics) as first:
        player = WorldPlayer(first.url, "기다림")
        player.enter()
        sent = player.ask("ChatbotC", "재시작 사이")
        wait_until(lambda: any(question.text == "재시작 사이" for question in echo.asked))
        first.stop()
    echo.may_answer.set()
    with serve(topics) as second:
        player.url = second.url
        player.enter(waiting=[sent])
        assert player.answer_to(sent)["text"] == "재시작 사이!"
        time.sleep(0.2)
        assert [event for event in player.events if event["t"] == "answered"] == []
        player.close()
    echo.stop()
    assert [question.text for question in echo.asked].count("재시작 사이") == 1


def test_health_says_that_the_world_stands_still(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in each tick; afterwards all is well again."""
    assert health(served) == (200, [])
    with monkeypatch.context() as broken:
        broken.setattr(served.gateway.rooms, "tick", lambda _: 1 / 0)
        wait_until(lambda: health(served)[0] == 503)
        (problem,) = health(served)[1]
        assert "tick_failed" in problem
    wait_until(lambda: health(served) == (200, []))


def test_a_faulty_room_stops_no_question_from_timing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of a tick is on its own."""
    topics, passed_s = in_memory_topics(), [0.0]
    with serve(topics, monotonic=lambda: time.monotonic() + passed_s[0]) as served, monkeypatch.context() as broken:
        player = WorldPlayer(served.url, "기다림")
        player.enter()
        sent = player.ask("ChatbotA", "아무도 없어?")
        player.wait_for(lambda event: event["t"] == "thinking")
        broken.setattr(served.gateway.rooms, "tick", lambda _: 1 / 0)
        wait_until(lambda: health(served)[0] == 503)
        passed_s[0] = WAIT_S
        assert player.answer_to(sent)["reason"] == "timeout"
        assert health(served)[0] == 503
        player.close()


def health(served: Served) -> tuple[int, list[str]]:
    reply = requests.get(f"{served.url}/health")
    assert reply.json()["ready"] is (reply.status_code == 200)
    return reply.status_code, reply.json()["problems"]


def test_stages_reach_players(served: Served, join) -> None:
    """A new version greets everyone."""
    player = join("하늘")
    served.facts.by_bot["ChatbotA"] = BotFacts(alive=True, ready=2)
    staged = player.wait_for(lambda event: event["t"] == "staged")
    assert staged["bot"] == {"bot": "ChatbotA", "stage": "new_version", "version": 2, "learned": 0}
    served.facts.by_bot["ChatbotA"] = BotFacts(alive=True, ready=1)


def test_the_book_shows_what_a_version_learned(served: Served, join) -> None:
    """It is read once the version answers; the number of pairs is part of what players see of the bot."""
    player = join("책벌레")
    wait_until(lambda: requests.get(f"{served.url}/learned/ChatbotB").json()["total"] == 7)
    book = requests.get(f"{served.url}/learned/ChatbotB").json()
    assert book["pairs"][0]["answer"] == "오솔길 끝이에요."
    assert requests.get(f"{served.url}/learned/ChatbotZ").status_code == 404
    known = {bot["bot"]: bot.get("learned", 0) for bot in player.welcome["bots"]}
    if not known["ChatbotB"]:
        player.wait_for(lambda event: event["t"] == "staged" and event["bot"]["learned"] == 7)


def test_a_second_tab_takes_over(served: Served, join) -> None:
    """The first connection is closed with its own code."""
    player = join("두탭이")
    again = WorldPlayer(served.url, "다른이름")
    again.cookie = player.cookie
    again.enter()
    with pytest.raises(Unavailable, match="4001"):
        player.wait_for(lambda event: event["t"] == "never")
    again.close()


def test_who_leaves_is_gone_and_the_connection_ends_normally(served: Served, join) -> None:
    """A connection that only ends is held instead: its player may come back."""
    player, other = join("나갈이"), join("남을이")
    player.send("leave")
    with pytest.raises(Unavailable, match="1000 left"):
        player.wait_for(lambda event: event["t"] == "never")
    assert other.wait_for(lambda event: event["t"] == "left")["name"] == "나갈이"
    join("나갈이").leave()
    assert other.wait_for(lambda event: event["t"] == "left")["name"] == "나갈이"
    join("나갈이").close()
    wait_until(lambda: [seat.is_connected for seat in served.gateway.rooms] == [True, False])
