"""Public chat, whispers, emotes, looks, blocks and reports."""

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from msgspec.json import encode

from tests.world.people import PLACES, Person, Town, answer_to
from world.gateway.protocol.commands import MAX_BLOCKED, MAX_FRAME_BYTES, Enter
from world.gateway.rules.tokens import new_guest

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{'from' : '운영자', 'to' : 'ChatbotA', 'message' : 'x'}",
    "quit",
    "\u202e거꾸로",
    "한글\u0000널",
)


@pytest.fixture
def town() -> Town:
    return Town()


def test_everyone_in_the_room_hears_what_is_said(town: Town) -> None:
    """Also the one who says it; other rooms hear nothing."""
    first, second, far = town.enter("하늘"), town.enter("별똥별"), town.enter("멀리", room=2)
    for person in (first, second, far):
        person.events()
    first.send("say", id="a1", text="  안녕,\n모두! ")
    for person in (first, second):
        (said,) = person.events("said")
        assert (said["id"], said["name"], said["text"]) == ("a1", "하늘", "안녕, 모두!")
    assert far.events("said") == []


def test_a_line_sent_twice_is_heard_once(town: Town) -> None:
    """A client that does not know whether its message arrived sends it again."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    first.send("say", id="a1", text="안녕")
    first.send("say", id="a1", text="안녕")
    assert len(second.events("said")) == 1
    second.send("say", id="a1", text="나도")
    assert len(first.events("said")) == 2


def test_a_whisper_reaches_one_player(town: Town) -> None:
    """And its sender, as an echo."""
    first, second, third = town.enter("하늘"), town.enter("별똥별"), town.enter("토끼굴")
    first.send("whisper", to=second.seat.number, text="비밀이야")
    for person in (first, second):
        (whispered,) = person.events("whispered")
        assert (whispered["name"], whispered["to_name"], whispered["text"]) == ("하늘", "별똥별", "비밀이야")
    assert third.events("whispered") == []
    first.send("whisper", to=9999, text="누구?")
    first.send("whisper", to=first.seat.number, text="나?")
    assert [refusal["reason"] for refusal in first.events("refusal")] == ["not_here", "not_here"]


def test_who_blocks_a_player_gets_nothing_from_it(town: Town) -> None:
    """The blocked player does not notice. Unblocking undoes it."""
    first, second = town.enter("하늘"), town.enter("시끄럼")
    first.send("block", tag=second.guest.tag, blocked=True)
    second.send("say", text="야")
    second.send("whisper", to=first.seat.number, text="야야")
    second.send("emote", kind="wave")
    assert first.events("said", "whispered", "emoted") == []
    assert len(second.events("said", "whispered", "emoted")) == 3
    first.send("block", tag=second.guest.tag, blocked=False)
    town.pass_time(5)
    second.send("say", text="안녕")
    assert len(first.events("said")) == 1


def test_a_block_stays_whatever_seat_or_name_the_other_has(town: Town) -> None:
    """It is by the guest's tag, which all players see."""
    first, second = town.enter("하늘"), town.enter("시끄럼")
    tags = {player["name"]: player["tag"] for player in second.events("welcome")[0]["players"]}
    assert first.events("joined")[0]["player"]["tag"] == tags["시끄럼"]
    assert re.fullmatch("[a-z2-7]{16}", tags["하늘"])
    first.send("block", tag=tags["시끄럼"])
    town.rooms.leave(second.seat)
    renamed = Person(town, replace(second.guest, name="새이름"))
    assert first.events("joined")[0]["player"]["tag"] == tags["시끄럼"]
    renamed.send("say", text="또 나야")
    assert first.events("said") == []


def test_who_blocks_a_player_does_not_see_it_talk_with_bots(town: Town) -> None:
    """Neither that it asks, nor what it is told."""
    first, second, third = town.enter("하늘"), town.enter("시끄럼"), town.enter("별똥별")
    stand = PLACES.bots[0]
    for person in (first, second, third):
        person.walk_to(stand.x, stand.z + 3)
    first.send("block", tag=second.guest.tag)
    second.send("ask", bot=stand.bot, text="메롱?", shared=True)
    town.asking.accept(answer_to(town.outside.questions[0]))
    town.pass_time(5)
    town.asking.expire(town.now_s)
    assert first.events("thinking", "answered") == []
    assert [event["t"] for event in third.events("thinking", "answered")] == ["thinking", "answered"]


def test_the_list_of_blocked_players_comes_with_the_entry(town: Town) -> None:
    """So it outlives seats, restarts and gateways. It is the whole list: who is not in it is not blocked."""
    loud, other = town.enter("시끄럼"), town.enter("별똥별")
    guest = town.guest("하늘")
    first = Person(town, guest, blocked=[loud.guest.tag, guest.tag])
    loud.send("say", text="야")
    first.send("say", text="조용해서 좋다")
    assert [said["name"] for said in first.events("said")] == ["하늘"]
    first.drop()
    first.come_back(blocked=[other.guest.tag])
    loud.send("say", text="이제 들려?")
    other.send("say", text="나는 안 들리지")
    assert [said["name"] for said in first.events("said")] == ["시끄럼"]


def test_blocks_have_a_limit(town: Town) -> None:
    """The list fits into one `enter`; a full one can be shortened."""
    tags = [town.guest("손님").tag for _ in range(MAX_BLOCKED + 1)]
    first = Person(town, town.guest("하늘"), blocked=tags[:-1])
    assert len(encode(Enter(v=1, blocked=tags[:-1], waiting=["w" * 40] * 8))) < MAX_FRAME_BYTES
    first.send("block", tag=tags[-1])
    first.send("block", tag=tags[0], blocked=False)
    first.send("block", tag=tags[-1])
    first.send("block", tag=first.guest.tag)
    assert [refusal["reason"] for refusal in first.events("refusal")] == ["busy", "not_here"]
    assert first.seat.blocked == set(tags[1:])


def test_a_tag_does_not_show_the_id() -> None:
    """It is the same for a guest always and everywhere, and another for every guest."""
    guest = new_guest("하늘", 1, store=False, learn=False, minor=False)
    later = replace(guest, name="구름", issued=99, store=True)
    assert guest.tag == later.tag
    digest = hashlib.sha256(b"kogpt2-chat/world/tag/" + guest.id.encode()).digest()
    assert guest.tag == base64.b32encode(digest).decode().lower()[:16]
    others = {new_guest("하늘", 1, store=False, learn=False, minor=False).tag for _ in range(500)}
    assert len(others | {guest.tag}) == 501


def test_emotes_and_looks_are_seen_by_all(town: Town) -> None:
    """A new player sees the new look."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    second.events()
    first.send("emote", kind="wave")
    first.send("dress", look={"body": 2, "hat": 3})
    assert [event["t"] for event in second.events()] == ["emoted", "dressed"]
    (welcome,) = town.enter("토끼굴").events("welcome")
    assert welcome["players"][0]["look"]["hat"] == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(town: Town, text: str) -> None:
    """Nothing is interpreted; control and direction characters are removed."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    first.send("say", text=text)
    (said,) = second.events("said")
    assert said["text"] == text.replace("\u202e", "").replace("\u0000", "")


@pytest.mark.parametrize(
    ("text", "reason"), [("\u200b", "text_empty"), ("   ", "text_empty"), ("가" * 301, "text_length")]
)
def test_empty_and_long_lines_are_refused(town: Town, text: str, reason: str) -> None:
    """The refusal has the id of the message."""
    first = town.enter("하늘")
    sent = first.send("say", text=text)
    (refusal,) = first.events("refusal")
    assert (refusal["of"], refusal["reason"]) == (sent, reason)


def test_300_characters_are_allowed_and_counted_after_composition(town: Town) -> None:
    """In decomposed Hangul they are 900 code points."""
    import unicodedata

    first = town.enter("하늘")
    first.send("say", text=unicodedata.normalize("NFD", "각" * 300))
    assert first.events("said")[0]["text"] == "각" * 300


def test_a_report_carries_the_lines_before(town: Town) -> None:
    """The reported line is the last one; its author may have left. One's own line, or one that is gone, cannot be reported."""
    first, second = town.enter("하늘"), town.enter("시끄럼")
    for number in range(14):
        town.pass_time(1)
        (first if number % 2 else second).send("say", text=f"{number}번째")
    lines = {said["text"]: said["line"] for said in first.events("said")}
    first.send("report_player", seat=second.seat.number, line=lines["12번째"], text="나쁜 말")
    (report,) = town.outside.reports
    assert (report.name, report.room, report.line, report.text) == ("시끄럼", 1, lines["12번째"], "나쁜 말")
    assert [line.text for line in report.lines] == [f"{number}번째" for number in range(2, 13)]
    assert first.events("reported")[0]["seat"] == second.seat.number
    town.rooms.leave(second.seat)
    town.pass_time(10)
    first.send("report_player", seat=second.seat.number, line=lines["12번째"])
    assert town.outside.reports[-1].name == "시끄럼"
    first.events()
    first.send("report_player", seat=second.seat.number, line=lines["13번째"])
    first.send("report_player", seat=second.seat.number, line="nope")
    assert [refusal["reason"] for refusal in first.events("refusal")] == ["not_here", "not_here"]


def test_a_whisper_can_be_reported_by_who_got_it(town: Town) -> None:
    """With the whispers of the same sender before it, also after the sender has left."""
    first, second, third = town.enter("하늘"), town.enter("시끄럼"), town.enter("별똥별")
    for number in range(14):
        town.pass_time(1)
        second.send("whisper", to=first.seat.number, text=f"{number}번째")
        third.send("whisper", to=first.seat.number, text="쉿")
    town.pass_time(1)
    first.send("whisper", to=second.seat.number, text="그만해")
    lines = {(event["name"], event["text"]): event["line"] for event in first.events("whispered")}
    town.rooms.leave(second.seat)
    first.send("report_player", seat=second.seat.number, line=lines["시끄럼", "12번째"], text="나쁜 말")
    assert first.events("reported")[0]["seat"] == second.seat.number
    (report,) = town.outside.reports
    assert (report.name, report.guest_id) == ("시끄럼", second.guest.id)
    # Of 28 whispers, the last 20 are kept: those of this sender from the fourth on.
    assert [line.text for line in report.lines] == [f"{number}번째" for number in range(4, 13)]
    assert report.line == report.lines[-1].id
    first.send("report_player", seat=second.seat.number, line=lines["시끄럼", "0번째"])
    first.send("report_player", seat=second.seat.number, line=lines["하늘", "그만해"])
    assert [refusal["reason"] for refusal in first.events("refusal")] == ["not_here", "not_here"]


def test_only_who_got_a_whisper_can_report_it(town: Town) -> None:
    """Whoever knows its id gets nothing from it; a blocked sender's whisper has not arrived."""
    first, second, third = town.enter("하늘"), town.enter("시끄럼"), town.enter("별똥별")
    second.send("whisper", to=first.seat.number, text="비밀")
    (whispered,) = first.events("whispered")
    third.send("report_player", seat=second.seat.number, line=whispered["line"])
    assert third.events("refusal")[0]["reason"] == "not_here"
    first.send("block", tag=second.guest.tag)
    second.send("whisper", to=first.seat.number, text="야")
    first.send("report_player", seat=second.seat.number, line=second.events("whispered")[-1]["line"])
    assert first.events("refusal")[0]["reason"] == "not_here"
    assert town.outside.reports == []


def test_a_report_sent_twice_is_written_once(town: Town) -> None:
    """A client that does not know whether it arrived sends it again, and is told that it has. Another text is another one."""
    first, second = town.enter("하늘"), town.enter("시끄럼")
    second.send("say", text="메롱")
    line = first.events("said")[0]["line"]
    town.outside.down = True
    first.send("report_player", seat=second.seat.number, line=line)
    assert first.events("refusal")[0]["reason"] == "unavailable"
    town.outside.down = False
    for text in ("", "", "또 그래요"):
        first.send("report_player", seat=second.seat.number, line=line, text=text)
    first.send("report_player", seat=second.seat.number)
    town.pass_time(60)
    first.send("report_player", seat=second.seat.number)
    assert len(first.events("reported")) == 5
    assert [(report.line, report.text) for report in town.outside.reports] == [
        (line, ""),
        (line, "또 그래요"),
        (None, ""),
    ]


def test_who_has_left_can_be_reported(town: Town) -> None:
    """As a person for some minutes, and by a line from any room that the reporter has heard."""
    first, second = town.enter("하늘"), town.enter("시끄럼")
    second.send("say", text="메롱")
    (said,) = first.events("said")
    second.send("go", room=2)
    first.send("report_player", seat=second.seat.number)
    town.rooms.leave(second.seat)
    first.send("report_player", seat=second.seat.number, text="그리고 나갔어요")
    first.send("go", room=3)
    first.send("report_player", seat=said["seat"], line=said["line"])
    assert [(report.name, report.room) for report in town.outside.reports] == [("시끄럼", 1)] * 3
    assert [line.text for line in town.outside.reports[-1].lines] == ["메롱"]


def test_a_flood_is_stopped(town: Town) -> None:
    """Five lines at once, then one per second; the third strike mutes."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    second.events()
    for number in range(20):
        first.send("say", text=f"{number}")
    assert len(second.events("said")) == 5
    reasons = [refusal["reason"] for refusal in first.events("refusal")]
    assert reasons == ["too_fast"] * 3 + ["muted"] * 12


def test_a_new_seat_or_name_does_not_end_a_mute(town: Town) -> None:
    """Strikes and rates are the guest's."""
    first = town.enter("하늘")
    for number in range(9):
        first.send("say", text=f"{number}")
    assert first.events("refusal")[-1]["reason"] == "muted"
    town.rooms.leave(first.seat)
    again = Person(town, first.guest)
    again.send("say", text="다시 왔어")
    assert again.events("refusal")[0]["reason"] == "muted"
    renamed = Person(town, replace(first.guest, name="새이름"))
    renamed.send("ask", bot="ChatbotA", text="나 누구게")
    assert renamed.events("refusal")[0]["reason"] == "muted"
    town.pass_time(31)
    renamed.send("say", text="이제 돼?")
    assert renamed.events("refusal") == []


def test_whom_moderators_have_muted_can_still_ask_bots(town: Town) -> None:
    """A muted player says nothing to other players, neither in the chat nor in a shared question."""
    first, second = town.enter("하늘"), town.enter("나루")
    town.outside.muted.add(first.guest.id)
    first.send("say", text="안녕")
    first.send("whisper", to=second.seat.number, text="안녕")
    first.send("ask", bot="ChatbotA", text="안녕", shared=True)
    first.send("emote", kind="wave")
    assert [event["reason"] for event in first.events("refusal")] == ["muted"] * 3
    first.send("ask", bot="ChatbotA", text="도와줘")
    assert [question.text for question in town.outside.questions] == ["도와줘"]
