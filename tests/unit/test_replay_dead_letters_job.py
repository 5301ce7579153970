"""Replay of dead letters: which ones are sent, with which content, and each only once."""

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


class ReplayHarness:
    """A broker with dead letters, and the job that replays them."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.topics = AgingTopics(self.broker)
        self.topics.ensure()
        self.lines: list[str] = []
        self.now = NOW

    def ask_and_bury(
        self,
        reason: str = "crash_loop",
        value: bytes | None = VALUE,
        key: bytes | None = KEY,
        age: timedelta = timedelta(hours=1),
    ) -> str:
        """Write a question, and the dead letter that a worker writes for it. Return the turn id."""
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
def harness() -> ReplayHarness:
    return ReplayHarness()


def names(result: ReplayDeadLettersResult) -> list[str]:
    return [replay.replay_of for replay in result.replays]


@pytest.mark.parametrize("key", [KEY, None, b"\xff\x00"])
def test_a_replay_has_the_bytes_of_the_question(harness: ReplayHarness, key: bytes | None) -> None:
    """Key and value are unchanged. Two headers have the turn id of the original and the time of the replay."""
    turn = harness.ask_and_bury(key=key)

    result = harness.replay()

    (replay,) = harness.replays()
    assert (replay.key, replay.value) == (key, VALUE)
    assert replay.headers == {"replay_of": turn, "replayed_at": "2026-11-24T12:00:00.000+00:00"}
    assert read_question(replay.value, 0, 0).text == "it's me, '거울동굴'은 어디야? 😀"
    assert (result.sent, result.replays) == (1, (SelectedDeadLetter(replay_of=turn, reason="crash_loop"),))


def test_by_default_only_faults_of_the_platform_are_replayed(harness: ReplayHarness) -> None:
    """Malformed records would fail again, so they are skipped and counted by reason."""
    turns = {reason: harness.ask_and_bury(reason) for reason in REASONS}
    harness.ask_and_bury("schema")

    result = harness.replay()

    assert set(names(result)) == {turns["crash_loop"], turns["answer_too_large"]}
    assert result.letters == len(REASONS) + 1
    others = result.other_reasons
    assert (others["schema"], others["unknown_bot"], sum(others.values())) == (2, 1, len(REASONS) - 1)
    assert "crash_loop" not in others


def test_selected_reasons_replace_the_default(harness: ReplayHarness) -> None:
    """For example, after a bot was added, only the letters for that bot are replayed."""
    harness.ask_and_bury("crash_loop")
    turns = [harness.ask_and_bury("unknown_bot"), harness.ask_and_bury("not_a_question", "헛소리".encode())]

    result = harness.replay(reasons=["unknown_bot", "not_a_question"])

    assert names(result) == turns
    assert [replay.value for replay in harness.replays()] == [VALUE, "헛소리".encode()]
    assert result.other_reasons == {"crash_loop": 1}


def test_a_second_call_sends_nothing(harness: ReplayHarness) -> None:
    """Earlier replays are found in the topic of questions, and the report counts them."""
    harness.ask_and_bury()
    harness.ask_and_bury("answer_too_large")
    harness.replay()

    second = harness.replay()

    assert len(harness.replays()) == 2
    assert (second.sent, second.replays, second.left) == (0, (), {"already_replayed": 2})
    assert "0 of 2 dead letters sent" in replay_text(second)
    assert "skipped: 2 (replayed before)" in replay_text(second)
    assert harness.replay(again=True).sent == 0, "a replay that is in the topic is never repeated"


def test_the_next_call_sends_only_new_letters(harness: ReplayHarness) -> None:
    """These are the letters that arrived after the last call."""
    harness.ask_and_bury()
    harness.replay()
    new = harness.ask_and_bury()

    assert names(harness.replay()) == [new]


def test_limit_selects_the_oldest_and_the_next_call_continues(harness: ReplayHarness) -> None:
    """An operator can test a fix with one letter before sending the others."""
    turns = [harness.ask_and_bury() for _ in range(3)]

    first, second = harness.replay(limit=2), harness.replay(limit=2)

    assert (names(first), names(second)) == (turns[:2], turns[2:])
    assert first.left == {"over_limit": 1}
    assert second.left == {"already_replayed": 2}


def test_a_dry_run_sends_nothing(harness: ReplayHarness) -> None:
    """Its report equals that of a real call, except for the number of letters sent."""
    turn = harness.ask_and_bury()

    dry = harness.replay(dry_run=True)

    assert harness.replays() == []
    assert (dry.sent, dry.dry_run, names(dry)) == (0, True, [turn])
    assert "1 of 1 dead letters would be sent" in replay_text(dry)
    assert harness.replay() == replace(dry, sent=1, dry_run=False)


@pytest.mark.parametrize("value", [b"", None])
def test_a_letter_without_its_value_cannot_be_replayed(harness: ReplayHarness, value: bytes | None) -> None:
    """The worker dropped a value that was too large. The letter is counted, and the others are sent."""
    harness.ask_and_bury("answer_too_large", value)
    turn = harness.ask_and_bury()

    result = harness.replay()

    assert names(result) == [turn]
    assert result.left == {"value_dropped": 1}
    assert "skipped: 1 (without a value" in replay_text(result)


def test_a_question_past_its_deadline_is_skipped(harness: ReplayHarness) -> None:
    """After `reply_by` the player would receive only a notice."""
    for minutes in (-1, 1):
        reply_by = (NOW + timedelta(minutes=minutes)).isoformat()
        harness.ask_and_bury(
            value=v1_text(question_id=f"q{minutes}", bot="ChatbotC", sender="n", text="응?", reply_by=reply_by).encode()
        )

    result = harness.replay()

    assert result.left == {"too_late": 1}
    assert [read_question(replay.value, 0, 0).question_id for replay in harness.replays()] == ["q1"]


def test_a_record_too_large_for_the_topic_is_skipped(harness: ReplayHarness) -> None:
    """The broker would refuse it, and every call would fail before the other letters are sent."""
    harness.ask_and_bury("too_large", "가".encode() * 349_000)
    turn = harness.ask_and_bury("too_large", b"x" * 100_000)

    result = harness.replay(reasons=["too_large"])

    assert (names(result), result.left) == ([turn], {"too_large_to_send": 1})


def test_a_failed_replay_is_not_sent_again_by_default(harness: ReplayHarness) -> None:
    """A question that crashes workers must not crash them with each call. An operator can force it with `again`."""
    first = harness.ask_and_bury()
    harness.replay()
    (replay,) = harness.replays()
    second = harness.bury(replay, "crash_loop", VALUE)

    by_default = harness.replay()
    forced = harness.replay(again=True)

    assert (by_default.sent, by_default.left) == (0, {"already_replayed": 1, "died_again": 1})
    assert names(forced) == [second] != [first]
    assert [one.headers["replay_of"] for one in harness.replays() if one.offset > replay.offset] == [second]


def test_letters_older_than_the_replay_history_are_skipped(harness: ReplayHarness) -> None:
    """Questions are kept for 7 days and letters for 30, so the topic may no longer have the earlier replay of a letter."""
    old, young = harness.ask_and_bury(age=timedelta(days=7)), harness.ask_and_bury(age=timedelta(days=6, hours=22))
    assert names(harness.replay(dry_run=True)) == [old, young], "the topic is complete"
    harness.topics.first = 1

    result = harness.replay()

    assert (names(result), result.left) == ([young], {"before_memory": 1})
    assert "skipped: 1 (too old" in replay_text(result)
    assert names(harness.replay(again=True)) == [old]


def test_the_text_is_taken_from_the_letter(harness: ReplayHarness) -> None:
    """The question may already be deleted from its topic."""
    turn = harness.ask_and_bury()
    harness.broker.log(QUESTION_TOPIC, 0).records.clear()
    harness.topics.first = 1

    assert names(harness.replay()) == [turn]
    assert harness.replays()[0].value == VALUE


def test_records_that_are_not_letters_are_counted(harness: ReplayHarness) -> None:
    """Without the headers of the contract, a replay could not be recognised later."""
    harness.topics.send([Outgoing(topic=DEAD_LETTER_TOPIC, key=None, value=VALUE, headers={"reason": "crash_loop"})])

    result = harness.replay()

    assert (result.letters, result.sent, result.other_reasons) == (1, 0, {"unreadable": 1})


def test_an_interrupted_call_is_finished_by_the_next(harness: ReplayHarness) -> None:
    """Letters that Kafka accepted before it became unavailable are not sent again."""
    turns = [harness.ask_and_bury() for _ in range(3)]

    class FailingTopics(AgingTopics):
        def send(self, records: Iterable[Outgoing]) -> None:
            super().send([next(iter(records))])
            raise Unavailable("the broker does not answer")

    healthy, harness.topics = harness.topics, FailingTopics(harness.broker)
    with pytest.raises(Unavailable):
        harness.replay()
    harness.topics = healthy

    harness.replay()

    assert sorted(replay.headers["replay_of"] for replay in harness.replays()) == turns


def test_without_letters_the_questions_are_not_read(harness: ReplayHarness) -> None:
    """Reading the questions of a week would be useless."""
    harness.ask_and_bury("schema")

    result = harness.replay()

    assert result.sent == 0
    assert harness.lines == ["1 dead letters read, 0 of them answer_too_large or crash_loop"]


def test_results_contain_no_text_of_players(harness: ReplayHarness) -> None:
    """Dead letters contain the raw text, but the report has only positions and reasons."""
    harness.ask_and_bury()
    result = harness.replay(dry_run=True)
    assert "거울동굴" not in replay_text(result) + repr(result) + "".join(harness.lines)


def test_the_command_passes_its_options_to_the_job(harness: ReplayHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several `--reason`, `--limit` and `--json`, it prints one JSON object."""
    monkeypatch.setattr("kogpt2_chat.bootstrap.topics", lambda _settings: harness.topics)
    turns = [
        harness.ask_and_bury("schema"),
        harness.ask_and_bury("empty"),
        harness.ask_and_bury("empty"),
        harness.ask_and_bury(),
    ]
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
    """The command exits with 2 before it reads anything."""
    result = CliRunner().invoke(app, ["replay-dead-letters", "--reason", "nope"])
    assert result.exit_code == 2
    assert "crash_loop" in result.stderr
