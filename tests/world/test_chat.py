"""Public chat, whispers, emotes, looks, blocks and reports."""

import pytest

from tests.world.people import Town

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
    first.send("block", seat=second.seat.number, blocked=True)
    second.send("say", text="야")
    second.send("whisper", to=first.seat.number, text="야야")
    second.send("emote", kind="wave")
    assert first.events("said", "whispered", "emoted") == []
    assert len(second.events("said", "whispered", "emoted")) == 3
    first.send("block", seat=second.seat.number, blocked=False)
    town.pass_time(5)
    second.send("say", text="안녕")
    assert len(first.events("said")) == 1


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


def test_a_flood_is_stopped(town: Town) -> None:
    """Five lines at once, then one per second; the third strike mutes."""
    first, second = town.enter("하늘"), town.enter("별똥별")
    second.events()
    for number in range(20):
        first.send("say", text=f"{number}")
    assert len(second.events("said")) == 5
    reasons = [refusal["reason"] for refusal in first.events("refusal")]
    assert reasons == ["too_fast"] * 3 + ["muted"] * 12


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
