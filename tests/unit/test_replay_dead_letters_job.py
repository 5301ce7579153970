"""Replay dead letters: which ones, with which content, and never twice."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from kogpt2_chat.cli import app
from kogpt2_chat.cli.operate import replay_text
from kogpt2_chat.domain.chat.dead_letters import REASONS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import dead_letter_headers, legacy_text, read_question, v1_text
from kogpt2_chat.errors import InvalidMessage, Unavailable
from kogpt2_chat.jobs.replay_dead_letters import ReplayDeadLettersResult, SelectedDeadLetter, replay_dead_letters
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics, put_question

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = "하늘".encode()
VALUE = legacy_text("하늘", "ChatbotA", "it's me, '거울동굴'은 어디야? 😀").encode()


class AgingTopics(InMemoryTopics):
    """Topics whose first records can be deleted, as by Kafka's retention."""

    first = 0

    def start_positions(self, topic: str) -> dict[int, int]:
        starts = super().start_positions(topic)
        return {**starts, 0: self.first} if topic == QUESTION_TOPIC else starts


class World:
    """A broker with dead letters, and the job on it."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.topics = AgingTopics(self.broker)
        self.topics.ensure()
        self.lines: list[str] = []
        self.now = NOW

    def die(
        self,
        reason: str = "crash_loop",
        value: bytes | None = VALUE,
        key: bytes | None = KEY,
        age: timedelta = timedelta(hours=1),
    ) -> str:
        """Write a question, and the dead letter that a worker makes of it."""
        question = put_question(self.broker, b"gone", key=key)
        return self.bury(question, reason, value, age)

    def bury(self, question: Record, reason: str, value: bytes | None, age: timedelta = timedelta(hours=1)) -> str:
        headers = dead_letter_headers(InvalidMessage(reason, "까닭"), question.partition, question.offset)
        self.broker.append(
            [Outgoing(topic=DEAD_LETTER_TOPIC, key=question.key, value=value, headers=headers)], transaction=True
        )
        log = self.broker.log(DEAD_LETTER_TOPIC, 0)
        last = max(log.records)
        log.records[last] = replace(log.records[last], timestamp_ms=int((self.now - age).timestamp() * 1000))
        return headers["turn_id"]

    def replay(self, **options) -> ReplayDeadLettersResult:
        return replay_dead_letters(topics=self.topics, progress=self.lines.append, now=self.now, **options)

    def replays(self) -> list[Record]:
        return [record for record in self.broker.all(QUESTION_TOPIC) if "replay_of" in record.headers]


@pytest.fixture
def world() -> World:
    return World()


def names(result: ReplayDeadLettersResult) -> list[str]:
    return [replay.replay_of for replay in result.replays]


@pytest.mark.parametrize("key", [KEY, None, b"\xff\x00"])
def test_a_replay_is_byte_for_byte_the_question(world: World, key: bytes | None) -> None:
    """Key and value are unchanged; two headers name the original and the time of the replay."""
    turn = world.die(key=key)

    result = world.replay()

    (replay,) = world.replays()
    assert (replay.key, replay.value) == (key, VALUE)
    assert replay.headers == {"replay_of": turn, "replayed_at": "2026-11-24T12:00:00.000+00:00"}
    assert read_question(replay.value, 0, 0).text == "it's me, '거울동굴'은 어디야? 😀"
    assert (result.sent, result.replays) == (1, (SelectedDeadLetter(replay_of=turn, reason="crash_loop"),))


def test_by_default_only_faults_of_the_platform_are_replayed(world: World) -> None:
    """Malformed records would fail again: they are skipped and counted by reason."""
    turns = {reason: world.die(reason) for reason in REASONS}
    world.die("schema")

    result = world.replay()

    assert set(names(result)) == {turns["crash_loop"], turns["answer_too_large"]}
    assert result.letters == len(REASONS) + 1
    others = result.other_reasons
    assert (others["schema"], others["unknown_bot"], sum(others.values())) == (2, 1, len(REASONS) - 1)
    assert "crash_loop" not in others


def test_given_reasons_replace_the_default(world: World) -> None:
    """After a bot was added, its letters are replayed and no others."""
    world.die("crash_loop")
    turns = [world.die("unknown_bot"), world.die("not_a_question", "헛소리".encode())]

    result = world.replay(reasons=["unknown_bot", "not_a_question"])

    assert names(result) == turns
    assert [replay.value for replay in world.replays()] == [VALUE, "헛소리".encode()]
    assert result.other_reasons == {"crash_loop": 1}


def test_a_second_call_sends_nothing_and_says_so(world: World) -> None:
    """Earlier replays are read from the topic itself."""
    world.die()
    world.die("answer_too_large")
    world.replay()

    second = world.replay()

    assert len(world.replays()) == 2
    assert (second.sent, second.replays, second.left) == (0, (), {"already_replayed": 2})
    assert "0 of 2 dead letters sent" in replay_text(second)
    assert "skipped: 2 (replayed before)" in replay_text(second)
    assert world.replay(again=True).sent == 0, "a known replay is never repeated, whatever is asked for"


def test_only_new_letters_are_sent_by_the_next_call(world: World) -> None:
    """Letters that arrived since the last call are sent, older ones are not."""
    world.die()
    world.replay()
    new = world.die()

    assert names(world.replay()) == [new]


def test_limit_selects_the_oldest_and_the_next_call_continues(world: World) -> None:
    """An operator can test a fix with one letter at a time."""
    turns = [world.die() for _ in range(3)]

    first, second = world.replay(limit=2), world.replay(limit=2)

    assert (names(first), names(second)) == (turns[:2], turns[2:])
    assert first.left == {"over_limit": 1}
    assert second.left == {"already_replayed": 2}


def test_a_dry_run_selects_and_sends_nothing(world: World) -> None:
    """The report equals that of a real call, except for the number sent."""
    turn = world.die()

    dry = world.replay(dry_run=True)

    assert world.replays() == []
    assert (dry.sent, dry.dry_run, names(dry)) == (0, True, [turn])
    assert "1 of 1 dead letters would be sent" in replay_text(dry)
    assert world.replay() == replace(dry, sent=1, dry_run=False)


@pytest.mark.parametrize("value", [b"", None])
def test_a_letter_without_its_value_cannot_be_replayed(world: World, value: bytes | None) -> None:
    """The letter was too large to keep its value: it is counted, and the others are sent."""
    world.die("answer_too_large", value)
    turn = world.die()

    result = world.replay()

    assert names(result) == [turn]
    assert result.left == {"value_dropped": 1}
    assert "skipped: 1 (without a value" in replay_text(result)


def test_a_question_past_its_reply_by_is_skipped(world: World) -> None:
    """The player would receive a notice about an old question."""
    for minutes in (-1, 1):
        reply_by = (NOW + timedelta(minutes=minutes)).isoformat()
        world.die(
            value=v1_text(question_id=f"q{minutes}", bot="ChatbotC", sender="n", text="응?", reply_by=reply_by).encode()
        )

    result = world.replay()

    assert result.left == {"too_late": 1}
    assert [read_question(replay.value, 0, 0).question_id for replay in world.replays()] == ["q1"]


def test_a_record_too_large_for_the_topic_is_skipped(world: World) -> None:
    """The broker would refuse it and so fail the call for the others each time."""
    world.die("too_large", "가".encode() * 349_000)
    turn = world.die("too_large", b"x" * 100_000)

    result = world.replay(reasons=["too_large"])

    assert (names(result), result.left) == ([turn], {"too_large_to_send": 1})


def test_a_failed_replay_is_not_sent_again_by_default(world: World) -> None:
    """A question that crashes workers must not crash them with each call; an operator can force it."""
    first = world.die()
    world.replay()
    (replay,) = world.replays()
    second = world.bury(replay, "crash_loop", VALUE)

    left = world.replay()
    asked = world.replay(again=True)

    assert (left.sent, left.left) == (0, {"already_replayed": 1, "died_again": 1})
    assert names(asked) == [second] != [first]
    assert [one.headers["replay_of"] for one in world.replays() if one.offset > replay.offset] == [second]


def test_letters_older_than_the_replay_history_are_skipped(world: World) -> None:
    """Questions are kept for 7 days, letters for 30: earlier replays may be deleted."""
    old, young = world.die(age=timedelta(days=7)), world.die(age=timedelta(days=6, hours=22))
    assert names(world.replay(dry_run=True)) == [old, young], "nothing was dropped yet: the memory is whole"
    world.topics.first = 1

    result = world.replay()

    assert (names(result), result.left) == ([young], {"before_memory": 1})
    assert "skipped: 1 (too old" in replay_text(result)
    assert names(world.replay(again=True)) == [old]


def test_the_text_is_taken_from_the_letter(world: World) -> None:
    """The question itself may already be deleted from its topic."""
    turn = world.die()
    world.broker.log(QUESTION_TOPIC, 0).records.clear()
    world.topics.first = 1

    assert names(world.replay()) == [turn]
    assert world.replays()[0].value == VALUE


def test_records_that_are_not_letters_are_counted(world: World) -> None:
    """Without the contract's headers a replay could not be recognised later."""
    world.topics.send([Outgoing(topic=DEAD_LETTER_TOPIC, key=None, value=VALUE, headers={"reason": "crash_loop"})])

    result = world.replay()

    assert (result.letters, result.sent, result.other_reasons) == (1, 0, {"unreadable": 1})


def test_an_interrupted_call_is_finished_by_the_next(world: World) -> None:
    """Records acknowledged before Kafka became unavailable are not sent again."""
    turns = [world.die() for _ in range(3)]

    class Cut(AgingTopics):
        def send(self, records: Iterable[Outgoing]) -> None:
            super().send([next(iter(records))])
            raise Unavailable("the broker went away")

    whole, world.topics = world.topics, Cut(world.broker)
    with pytest.raises(Unavailable):
        world.replay()
    world.topics = whole

    world.replay()

    assert sorted(replay.headers["replay_of"] for replay in world.replays()) == turns


def test_without_letters_the_questions_are_not_read(world: World) -> None:
    """Reading a week of questions would be wasted."""
    world.die("schema")

    result = world.replay()

    assert result.sent == 0
    assert world.lines == ["1 dead letters read, 0 of them answer_too_large or crash_loop"]


def test_results_contain_no_text_of_players(world: World) -> None:
    """Dead letters contain raw text: the report has only positions and reasons."""
    world.die()
    result = world.replay(dry_run=True)
    assert "거울동굴" not in replay_text(result) + repr(result) + "".join(world.lines)


def test_the_command_passes_its_options_to_the_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several `--reason`, `--limit`, `--json`: one JSON object on stdout."""
    monkeypatch.setattr("kogpt2_chat.bootstrap.topics", lambda _settings: world.topics)
    turns = [world.die("schema"), world.die("empty"), world.die("empty"), world.die()]
    chosen = ["--reason", "empty", "--reason", "schema"]

    shown = CliRunner().invoke(app, ["replay-dead-letters", *chosen, "--limit", "2", "--json"])

    result = json.loads(shown.stdout)
    assert [replay["replay_of"] for replay in result["replays"]] == turns[:2]
    assert (result["left"], result["other_reasons"]) == ({"over_limit": 1}, {"crash_loop": 1})
    by_default = CliRunner().invoke(app, ["replay-dead-letters"]).stdout
    assert "1 of 4 dead letters sent" in by_default
    assert f"{turns[3]}  crash_loop" in by_default
    assert "skipped: 3 with other reasons (empty 2, schema 1)" in by_default


def test_an_unknown_reason_is_a_usage_error_that_lists_the_reasons() -> None:
    """It exits with 2 before anything is read."""
    ended = CliRunner().invoke(app, ["replay-dead-letters", "--reason", "nope"])
    assert ended.exit_code == 2
    assert "crash_loop" in ended.stderr
