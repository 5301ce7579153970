"""Questions: each ends once, only those who may see it see it, and only the asker can rate it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC
from kogpt2_chat.ports import Record
from tests.world.people import Person, Town, answer_to
from world.gateway.protocol.frames import TICK_HZ
from world.gateway.rooms.asking import KEPT_ENDED_S, WAIT_S, asked_id
from world.gateway.rooms.onlookers import QUIET_S
from world.gateway.rooms.turns import KEPT_TURNS_S, LeftTurns

MARU = (5.5, 6.0)


@pytest.fixture
def town() -> Town:
    return Town()


def asker_and_onlookers(town: Town) -> Sequence[Person]:
    """An asker, a player near 마루, and one far away."""
    people = [town.enter("하늘"), town.enter("옆사람"), town.enter("먼사람")]
    for person, (x, z) in zip(people, (MARU, (7, 8), (0, 80)), strict=True):
        person.walk_to(x, z)
        person.events()
    return people


def dead_letter(question_id: str) -> Record:
    return Record(
        topic=DEAD_LETTER_TOPIC, partition=0, offset=0, key=None, value=b"", timestamp_ms=0,
        headers={"reason": "crash_loop", "question_id": question_id},
    )  # fmt: skip


def answer_elsewhere(asker: Person, client_id: str) -> Record:
    """Return the answer to a question that this gateway has not sent."""
    return Record(
        topic="ChatbotB", partition=0, offset=1, key="하늘".encode(), value="저쪽에서!".encode(), timestamp_ms=0,
        headers={
            "turn_id": "bot_question-0-1", "question_id": asked_id(asker.guest.id, client_id), "model_version": "3",
        },
    )  # fmt: skip


def test_a_question_goes_out_and_its_answer_comes_back(town: Town) -> None:
    """The asker sees that the bot thinks, and then the answer with the version that gave it."""
    asker, *_ = asker_and_onlookers(town)
    sent = asker.send("ask", bot="ChatbotA", text="안녕?")
    (question,) = town.outside.questions
    assert (question.bot, question.text, question.sender, question.guest_id) == (
        "ChatbotA",
        "안녕?",
        "하늘",
        asker.guest.id,
    )
    assert len(question.id) <= 64
    (thinking,) = asker.events("thinking")
    assert (thinking["id"], thinking["text"]) == (sent, "안녕?")
    town.asking.accept(answer_to(question, "안녕하세요!", offset=5))
    (answered,) = asker.events("answered")
    assert answered["n"] > thinking["n"]
    del answered["n"]
    assert answered == {
        "t": "answered", "bot": "ChatbotA", "seat": asker.seat.number, "name": "하늘", "id": sent, "question": "안녕?",
        "text": "안녕하세요!", "turn": "bot_question-0-5", "version": 3,
    }  # fmt: skip
    assert len(town.asking) == 0


def test_onlookers_see_whom_a_bot_answers_and_not_what(town: Town) -> None:
    """Only players near the bot see it at all."""
    asker, near, far = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="비밀 질문")
    town.asking.accept(answer_to(town.outside.questions[0], "비밀 답"))
    town.asking.expire(QUIET_S)
    events = near.events()
    assert [event["t"] for event in events] == ["thinking", "answered"]
    assert {event["name"] for event in events} == {"하늘"}
    assert not any(event.get(name) for event in events for name in ("text", "question", "turn", "id"))
    assert far.events() == []


def test_a_shared_question_is_seen_with_its_answer(town: Town) -> None:
    """The question is shown only then, because it may turn out to be about a crisis."""
    asker, near, _ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="호수 어디야?", shared=True)
    assert not near.events("thinking")[0].get("text")
    town.asking.accept(answer_to(town.outside.questions[0], "남쪽이에요!"))
    town.asking.expire(QUIET_S)
    (seen,) = near.events("answered")
    assert (seen["question"], seen["text"]) == ("호수 어디야?", "남쪽이에요!")
    assert "turn" not in seen


@pytest.mark.parametrize("shared", [True, False])
def test_a_safety_answer_is_for_the_asker_alone(town: Town, shared: bool) -> None:
    """Nobody can put a thumb on it, and others get no text."""
    asker, near, _ = asker_and_onlookers(town)
    near.walk_to(7, 38)
    asker.send("ask", bot="ChatbotB", text="…", shared=shared)
    near.events()
    town.asking.accept(answer_to(town.outside.questions[0], "109에 전화해 주세요.", fallback="safety"))
    (answered,) = asker.events("answered")
    assert (answered["text"], answered["source"]) == ("109에 전화해 주세요.", "safety")
    assert "turn" not in answered
    town.asking.expire(QUIET_S)
    (seen,) = near.events("answered")
    assert set(seen) == {"t", "n", "bot", "seat", "name"}
    asker.send("rate", turn="bot_question-0-1", up=True)
    assert asker.events("refusal")[0]["reason"] == "not_yours"


ENDS = ["safety", "timeout", "muted", "empty", "degraded", "nearest", "unsure", "dead letter", "no answer"]


@pytest.mark.parametrize("shared", [True, False])
def test_onlookers_cannot_tell_a_vetted_answer_from_other_ends_without_the_models_text(shared: bool) -> None:
    """Also of an asker who shares every question. They see the same event, and at the same time if the end is quick."""
    seen = {}
    for end in ENDS:
        town = Town()
        asker, near, _ = asker_and_onlookers(town)
        asker.send("ask", bot="ChatbotA", text="…", shared=shared)
        near.events()
        (question,) = town.outside.questions
        if end == "dead letter":
            town.asking.accept(dead_letter(question.id))
        elif end != "no answer":
            town.asking.accept(answer_to(question, fallback=end))
        town.asking.expire(QUIET_S - 0.01)
        assert near.events() == [], end
        town.asking.expire(WAIT_S if end == "no answer" else QUIET_S)
        seen[end] = near.events()
    assert [event["t"] for event in seen["safety"]] == ["answered"]
    assert all(events == seen["safety"] for events in seen.values())


@pytest.mark.parametrize("shared", [True, False])
def test_onlookers_see_a_quick_answer_at_one_time(town: Town, shared: bool) -> None:
    """With or without the text: a vetted answer comes at once, and its speed must not give it away."""
    asker, near, _ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="하나", shared=shared)
    near.events()
    town.asking.accept(answer_to(town.outside.questions[0]))
    town.asking.expire(QUIET_S - 0.01)
    assert near.events() == []
    town.asking.expire(QUIET_S)
    assert [bool(event.get("text")) for event in near.events("answered")] == [shared]


def test_whoever_saw_a_bot_think_sees_the_end(town: Town) -> None:
    """Wherever they are by then, and nobody else: not who came later, and not who has a new seat."""
    asker, near, far = asker_and_onlookers(town)
    gone = town.enter("간사람", 1)
    gone.walk_to(7, 8)
    asker.send("ask", bot="ChatbotA", text="하나", shared=True)
    near.walk_to(0, 80)
    far.walk_to(*MARU)
    town.rooms.go(near.seat, 2)
    town.rooms.leave(gone.seat)
    again = Person(town, gone.guest, room=1)
    again.walk_to(*MARU)
    for person in (near, far, again):
        person.events()
    town.asking.accept(answer_to(town.outside.questions[0]))
    town.asking.expire(QUIET_S)
    assert [event["name"] for event in near.events("answered")] == ["하늘"]
    assert (far.events("answered"), again.events("answered")) == ([], [])


@pytest.mark.parametrize("has_answer", [True, False])
def test_onlookers_see_the_end_although_the_asker_has_gone(town: Town, has_answer: bool) -> None:
    """With the seat and the name that they know, and without the texts."""
    asker, near, _ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="하나", shared=True)
    near.events()
    town.rooms.leave(asker.seat)
    again = Person(town, asker.guest)
    assert again.seat.number != asker.seat.number
    if has_answer:
        town.asking.accept(answer_to(town.outside.questions[0]))
    town.asking.expire(WAIT_S)
    (seen,) = near.events("answered")
    del seen["n"]
    assert seen == {"t": "answered", "bot": "ChatbotA", "seat": asker.seat.number, "name": "하늘"}


def test_a_player_who_blocks_the_asker_meanwhile_reads_nothing(town: Town) -> None:
    """But sees that the bot no longer thinks."""
    asker, near, _ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="하나", shared=True)
    near.events()
    near.seat.blocked.add(asker.guest.tag)
    town.asking.accept(answer_to(town.outside.questions[0]))
    town.asking.expire(QUIET_S)
    (seen,) = near.events("answered")
    assert not seen.get("text")


def test_several_players_ask_one_bot_at_once(town: Town) -> None:
    """Each gets the own answer, whatever the order; others see each time whom the bot answers."""
    people = [town.enter(name) for name in ("하늘", "별똥별", "토끼굴", "옆사람")]
    for person in people:
        person.walk_to(*MARU)
    *askers, near = people
    for person in people:
        person.events()
    ids = [asker.send("ask", bot="ChatbotA", text=f"{asker.guest.name}?", shared=True) for asker in askers]
    assert [event["name"] for event in near.events("thinking")] == ["하늘", "별똥별", "토끼굴"]
    for question in reversed(town.outside.questions):
        town.asking.accept(answer_to(question, f"{question.sender}!"))
    for asker, sent in zip(askers, ids, strict=True):
        assert [(event["id"], event["text"]) for event in asker.events("answered")] == [(sent, f"{asker.guest.name}!")]
    town.asking.expire(QUIET_S)
    seen = [(event["name"], event["seat"], event["question"], event["text"]) for event in near.events("answered")]
    named = [(who.guest.name, who.seat.number, f"{who.guest.name}?", f"{who.guest.name}!") for who in reversed(askers)]
    assert seen == named
    assert sorted(event["name"] for event in askers[0].events("answered")) == ["별똥별", "토끼굴"]


@pytest.mark.parametrize(
    ("fallback", "rated"), [("nearest", True), ("unsure", True), ("timeout", False), ("muted", False)]
)
def test_a_thumb_needs_an_answer(town: Town, fallback: str, rated: bool) -> None:
    """Fixed notices cannot be rated."""
    asker, *_ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="안녕?")
    town.asking.accept(answer_to(town.outside.questions[0], fallback=fallback))
    (answered,) = asker.events("answered")
    assert answered["source"] == fallback
    assert bool(answered.get("turn")) is rated


def test_thumbs_and_corrections_leave_with_the_consent(town: Town) -> None:
    """One who does not let bots learn sends the opinion without the permission to learn it."""
    asker = town.enter("하늘", learn=False)
    asker.send("ask", bot="ChatbotA", text="안녕?")
    town.asking.accept(answer_to(town.outside.questions[0], offset=9))
    asker.events()
    asker.send("rate", turn="bot_question-0-9", up=False)
    asker.send("teach", turn="bot_question-0-9", text=" 반가워요! ")
    asker.send("report_turn", turn="bot_question-0-9")
    sent = [(one.kind, one.text, one.may_learn) for one in town.outside.feedback]
    assert sent == [("down", None, False), ("correction", "반가워요!", False), ("report", None, False)]
    assert [event["kind"] for event in asker.events("noted")] == ["down", "correction", "report"]


def test_only_the_asker_rates_an_answer(town: Town) -> None:
    """Somebody else does not know the turn, and cannot guess it."""
    asker, near, _ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="안녕?", shared=True)
    town.asking.accept(answer_to(town.outside.questions[0], offset=9))
    near.send("rate", turn="bot_question-0-9", up=True)
    assert near.events("refusal")[0]["reason"] == "not_yours"
    assert town.outside.feedback == []


def test_answers_can_be_rated_from_a_new_seat_for_some_minutes(town: Town) -> None:
    """After a loss of the connection that was too long for the seat."""
    asker, *_ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="안녕?")
    town.asking.accept(answer_to(town.outside.questions[0], offset=9))
    for away_s, is_known in ((KEPT_TURNS_S - 1, True), (KEPT_TURNS_S + 1, False)):
        asker.send("leave")
        town.pass_time(away_s)
        pass_a_second(town)
        asker = Person(town, asker.guest)
        asker.send("rate", turn="bot_question-0-9", up=True)
        assert bool(asker.events("noted")) is is_known
    assert len(town.outside.feedback) == 1


def pass_a_second(town: Town) -> None:
    for _ in range(TICK_HZ):
        town.rooms.tick(town.now_s)


def test_not_more_than_so_many_guests_turns_are_kept() -> None:
    """Those who left first are forgotten first; who has nothing to rate takes no place."""
    left = LeftTurns(most=2)
    for guest in ("a", "b", "c"):
        left.keep(guest, {f"turn-{guest}": "ChatbotA"}, 0)
    left.keep("d", {}, 0)
    assert [dict(left.take(guest)) for guest in ("a", "b", "c", "c")] == [
        {}, {"turn-b": "ChatbotA"}, {"turn-c": "ChatbotA"}, {}
    ]  # fmt: skip


def test_without_an_answer_there_is_a_notice_in_time(town: Town) -> None:
    """After 14 s, so that nobody waits longer than 15. A later answer is not shown."""
    asker, *_ = asker_and_onlookers(town)
    sent = asker.send("ask", bot="ChatbotA", text="안녕?")
    town.asking.expire(WAIT_S - 0.1)
    assert asker.events("unanswered") == []
    town.asking.expire(WAIT_S)
    (unanswered,) = asker.events("unanswered")
    assert (unanswered["id"], unanswered["reason"]) == (sent, "timeout")
    town.asking.accept(answer_to(town.outside.questions[0]))
    assert asker.events("answered") == []


def test_a_vetted_answer_reaches_its_asker_late_too(town: Town) -> None:
    """It may still help. Other late answers are not shown."""
    asker, *_ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotB", text="…")
    (question,) = town.outside.questions
    town.asking.expire(WAIT_S)
    town.asking.accept(answer_to(question, "너무 늦은 답"))
    town.asking.accept(answer_to(question, "109에 전화해 주세요.", fallback="safety"))
    town.asking.accept(answer_to(question, "109에 전화해 주세요.", fallback="safety"))
    assert [event["text"] for event in asker.events("answered")] == ["109에 전화해 주세요."]


def test_a_late_vetted_answer_is_told_again_to_whoever_comes_back(town: Town) -> None:
    """Not that there was none."""
    asker, *_ = asker_and_onlookers(town)
    message = asker.send("ask", bot="ChatbotB", text="…")
    town.asking.expire(WAIT_S)
    town.asking.accept(answer_to(town.outside.questions[0], "109에 전화해 주세요.", fallback="safety"))
    asker.events()
    town.asking.repeat(asker.seat, [message], WAIT_S + 1)
    assert [event["text"] for event in asker.events("answered", "unanswered")] == ["109에 전화해 주세요."]


def test_ends_are_kept_for_some_minutes(town: Town) -> None:
    """For players who come back. A gateway that runs for days does not grow."""
    asker, *_ = asker_and_onlookers(town)
    message = asker.send("ask", bot="ChatbotA", text="하나")
    town.asking.expire(5)
    town.asking.accept(answer_to(town.outside.questions[0]))
    asker.events()
    town.asking.expire(5 + KEPT_ENDED_S - 0.1)
    town.asking.repeat(asker.seat, [message], town.now_s)
    assert len(asker.events("answered")) == 1
    town.asking.expire(5 + KEPT_ENDED_S)
    assert not town.asking._ended


def test_a_consent_that_was_withdrawn_stays_withdrawn(town: Town) -> None:
    """Even if the cookie of the next connection still has the old one."""
    asker = town.enter("하늘", store=True, learn=True)
    asker.send("consent", store=False, learn=False)
    again = asker.come_back()
    assert (again.seat.guest.store, again.seat.guest.learn) == (False, False)


def test_a_dead_letter_ends_the_question(town: Town) -> None:
    """The bots could not read it."""
    asker, *_ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="안녕?")
    (question,) = town.outside.questions
    dead = dead_letter(question.id)
    town.asking.accept(dead)
    assert asker.events("unanswered")[0]["reason"] == "refused"
    town.asking.accept(dead)
    assert asker.events("unanswered") == []


def test_one_question_per_bot_at_a_time(town: Town) -> None:
    """Another bot can be asked meanwhile, and the same one afterwards."""
    asker, *_ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="하나")
    town.pass_time(3)
    asker.send("ask", bot="ChatbotA", text="둘")
    assert asker.events("refusal")[0]["reason"] == "already_asking"
    town.pass_time(3)
    asker.send("ask", bot="ChatbotB", text="셋")
    town.asking.accept(answer_to(town.outside.questions[0]))
    town.pass_time(3)
    asker.send("ask", bot="ChatbotA", text="넷")
    assert [question.text for question in town.outside.questions] == ["하나", "셋", "넷"]


def test_a_question_sent_twice_is_asked_once(town: Town) -> None:
    """While it waits, and after its answer. The client may have missed either event, so it comes again."""
    asker, near, _ = asker_and_onlookers(town)
    sent = asker.send("ask", bot="ChatbotA", text="하나")
    town.pass_time(3)
    asker.send("ask", id=sent, bot="ChatbotA", text="하나")
    town.asking.accept(answer_to(town.outside.questions[0]))
    town.pass_time(3)
    asker.send("ask", id=sent, bot="ChatbotA", text="하나")
    assert len(town.outside.questions) == 1
    shown = [(event["t"], event["id"]) for event in asker.events("thinking", "answered")]
    assert shown == [("thinking", sent), ("thinking", sent), ("answered", sent), ("answered", sent)]
    assert [event["t"] for event in near.events("thinking")] == ["thinking"]


def test_an_answer_waits_for_a_player_who_has_lost_the_connection(town: Town) -> None:
    """It comes as a missed event; after a reload, the client says which questions it waits for."""
    asker, *_ = asker_and_onlookers(town)
    sent = asker.send("ask", bot="ChatbotA", text="하나")
    last = asker.events()[-1]["n"]
    asker.drop()
    town.asking.accept(answer_to(town.outside.questions[0], "왔어요"))
    assert [event["text"] for event in asker.come_back(last).events("answered")] == ["왔어요"]
    reloaded = asker.come_back()
    town.asking.repeat(reloaded.seat, [sent], town.now_s)
    assert [event["id"] for event in reloaded.events("answered")] == [sent]


@pytest.mark.parametrize("is_resumed", [True, False])
def test_a_client_that_comes_back_sees_the_bot_think_again(town: Town, is_resumed: bool) -> None:
    """Unless it gets the events that it has missed, and the first one among them."""
    asker, *_ = asker_and_onlookers(town)
    sent = asker.send("ask", bot="ChatbotA", text="하나")
    last = asker.events()[-1]["n"]
    asker.drop()
    again = asker.come_back(last if is_resumed else None)
    town.asking.repeat(again.seat, [sent], town.now_s, is_resumed=is_resumed)
    shown = [(event["id"], event["text"], event["seat"]) for event in again.events("thinking")]
    assert shown == ([] if is_resumed else [(sent, "하나", again.seat.number)])


def test_an_unknown_question_waits_for_its_answer(town: Town) -> None:
    """Another gateway may have sent it. Only when the usual time is over, the player is told to ask again."""
    asker, *_ = asker_and_onlookers(town)
    town.asking.repeat(asker.seat, ["elsewhere", "lost"], town.now_s)
    town.asking.expire(WAIT_S - 0.1)
    assert asker.events() == []
    town.asking.accept(answer_elsewhere(asker, "elsewhere"))
    town.asking.accept(answer_elsewhere(asker, "elsewhere"))
    (answered,) = asker.events("answered")
    del answered["n"]
    assert answered == {
        "t": "answered", "bot": "ChatbotB", "seat": asker.seat.number, "name": "하늘", "id": "elsewhere",
        "text": "저쪽에서!", "turn": "bot_question-0-1", "version": 3,
    }  # fmt: skip
    town.asking.expire(WAIT_S)
    (unanswered,) = asker.events()
    assert (unanswered["t"], unanswered["id"], unanswered["reason"]) == ("unanswered", "lost", "unknown")
    town.asking.accept(answer_elsewhere(asker, "lost"))
    assert asker.events() == []


def test_the_wait_for_an_unknown_question_does_not_begin_again(town: Town) -> None:
    """A client may connect several times; and it may send the question itself, which is then not sent to the bots."""
    asker, *_ = asker_and_onlookers(town)
    town.asking.repeat(asker.seat, ["lost"], 0)
    town.pass_time(8)
    town.asking.repeat(asker.seat, ["lost"], town.now_s)
    asker.send("ask", id="lost", bot="ChatbotA", text="하나")
    town.asking.expire(WAIT_S)
    assert [event["reason"] for event in asker.events("unanswered")] == ["unknown"]
    town.asking.repeat(asker.seat, ["lost"], WAIT_S)
    assert [event["reason"] for event in asker.events("unanswered")] == ["unknown"]
    assert town.outside.questions == []


def test_an_unknown_question_of_one_who_does_not_store_cannot_be_rated(town: Town) -> None:
    """And the answers to others' unknown questions are shown to nobody."""
    asker, near, _ = asker_and_onlookers(town)
    asker.send("consent", store=False, learn=False)
    town.asking.repeat(asker.seat, ["elsewhere"], town.now_s)
    asker.events()
    town.asking.accept(answer_elsewhere(near, "elsewhere"))
    assert (asker.events(), near.events()) == ([], [])
    town.asking.accept(answer_elsewhere(asker, "elsewhere"))
    assert "turn" not in asker.events("answered")[0]


def test_a_dead_letter_ends_an_unknown_question(town: Town) -> None:
    """As it ends any other."""
    asker, *_ = asker_and_onlookers(town)
    town.asking.repeat(asker.seat, ["elsewhere"], town.now_s)
    town.asking.accept(dead_letter(asked_id(asker.guest.id, "elsewhere")))
    assert [event["reason"] for event in asker.events("unanswered")] == ["refused"]


def test_a_copy_of_a_question_changes_nothing(town: Town) -> None:
    """Any client can copy a signed record; a gateway that starts reads both."""
    asker, *_ = asker_and_onlookers(town)
    asker.send("ask", bot="ChatbotA", text="하나")
    (question,) = town.outside.questions
    town.asking.wait(question, town.now_s)
    town.asking.wait(replace(question, bot="ChatbotB"), town.now_s)
    town.asking.accept(answer_to(question))
    town.asking.wait(question, town.now_s)
    town.asking.expire(town.now_s + WAIT_S + 1)
    assert [event["t"] for event in asker.events("answered", "unanswered")] == ["answered"]


def test_without_kafka_a_question_is_refused_at_once(town: Town) -> None:
    """It can be asked again. Nobody sees the bot think about it."""
    asker, near, _ = asker_and_onlookers(town)
    town.outside.down = True
    asker.send("ask", bot="ChatbotA", text="하나")
    assert asker.events("refusal")[0]["reason"] == "unavailable"
    assert (asker.events(), near.events(), len(town.asking)) == ([], [], 0)
    town.outside.down = False
    town.pass_time(3)
    asker.send("ask", bot="ChatbotA", text="하나")
    assert len(town.outside.questions) == 1


@pytest.mark.parametrize("minor", [True, False])
def test_nothing_of_minors_is_stored_or_learned(town: Town, minor: bool) -> None:
    """Whatever was ticked."""
    asker = town.enter("하늘", store=True, learn=True, minor=minor)
    asker.send("ask", bot="ChatbotA", text="하나")
    asker.send("consent", store=True, learn=True)
    (consented,) = asker.events("consented")
    assert (consented["store"], consented["learn"]) == (not minor, not minor)
    asker.send("ask", bot="ChatbotB", text="둘")
    for question in town.outside.questions:
        assert (question.store, question.learn, question.minor) == (not minor, not minor, minor)


def test_without_consent_nothing_is_stored_or_rated(town: Town) -> None:
    """The consent can be given later, for later questions."""
    asker = town.enter("하늘", store=False, learn=False)
    asker.send("ask", bot="ChatbotA", text="하나")
    (question,) = town.outside.questions
    assert (question.store, question.learn) == (False, False)
    town.asking.accept(answer_to(question))
    assert "turn" not in asker.events("answered")[0]
    asker.send("consent", store=True, learn=True)
    assert asker.events("consented")[0]["learn"] is True
    town.pass_time(3)
    asker.send("ask", bot="ChatbotA", text="둘")
    assert (town.outside.questions[1].store, town.outside.questions[1].learn) == (True, True)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["ask", "answer", "drop", "back", "expire"])), max_size=40)
)
def test_every_question_ends_exactly_once(steps: list[tuple[int, str]]) -> None:
    """Whatever happens in between, each accepted question ends in one answer or one notice."""
    town = Town()
    people = [town.enter(name) for name in ("하늘", "별똥별", "토끼굴")]
    ended: list[str] = []
    answered: set[str] = set()
    for person, step in steps:
        town.pass_time(2)
        who = people[person]
        if step == "ask":
            who.send("ask", bot="ChatbotA", text="안녕")
        elif step == "answer":
            for question in [one for one in town.outside.questions if one.id not in answered][:1]:
                answered.add(question.id)
                town.asking.accept(answer_to(question))
                town.asking.accept(answer_to(question))
        elif step == "drop":
            who.drop()
        elif step == "back":
            ended += [event["id"] for event in who.events("answered", "unanswered") if event.get("id")]
            people[person] = who.come_back(who.seat.outbox._last)
        else:
            town.asking.expire(town.now_s)
    town.asking.expire(town.now_s + WAIT_S + 1)
    for who in people:
        ended += [event["id"] for event in who.events("answered", "unanswered") if event.get("id")]
    by_id = [f"{one.guest_id}.{one.client_id}" for one in town.outside.questions]
    assert len(by_id) == len(set(by_id))
    assert len(town.asking) == 0
    assert len([one for one in ended if one]) == len(town.outside.questions)
