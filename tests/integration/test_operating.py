"""An operator's commands, on real servers, with models that Airflow trained."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.status import status
from tests.integration.operating import cli, register_again, run_cli
from tests.loop import ask_bots, champion_versions, wait_until


def bot_with_champion(settings: Settings) -> str:
    """Return a bot that has a champion; the gate may have refused other bots."""
    return next(bot for bot, version in champion_versions(settings).items() if version is not None)


def first_seed_question(settings: Settings, bot: str) -> str:
    with (settings.learning.corpora / bot / "seed.csv").open(encoding="utf-8", newline="") as seed:
        return next(csv.DictReader(seed))["question"]


def test_a_muted_bot_answers_with_a_notice_until_it_is_unmuted(trained_stack: Settings) -> None:
    """The command waits for every worker, so the next question gets the notice."""
    bot = bot_with_champion(trained_stack)
    question = Utterance(bot=bot, sender="하늘", text=first_seed_question(trained_stack, bot))
    try:
        muted = cli("mute", bot, "--reason", "이상한 답을 한다")
        assert muted["changed"]
        assert muted["workers"]
        assert [reply.fallback for reply in ask_bots(trained_stack, question)] == ["muted"]
    finally:
        unmuted = cli("unmute", bot)
    assert unmuted["epoch"] > muted["epoch"]
    assert ask_bots(trained_stack, question)[0].fallback not in {"muted", "degraded"}


def test_an_answer_is_explained_by_its_tokens(trained_stack: Settings) -> None:
    """The reference engine generates the same answer from the prompt, or the first difference is shown."""
    bot = bot_with_champion(trained_stack)
    asked = Utterance(bot=bot, sender="하늘", text=first_seed_question(trained_stack, bot))
    [reply] = ask_bots(trained_stack, asked)
    found = cli("explain", reply.turn_id, "--top", "3")
    assert (found["question"], found["answer"], str(found["version"])) == (asked.text, reply.answer, reply.version)
    assert found["exact_prompt"]
    assert len(found["prompt"]) == found["prompt_tokens"]
    steps = found["replay"]["steps"]
    assert steps
    assert all(len(step["choices"]) == 3 for step in steps)
    if found["fallback"] == "nearest":  # the version was unsure: a note names the known question
        assert asked.text in " ".join(found["notes"])
        return
    assert found["replay"]["difference"] is not None or found["replay"]["answer"] == reply.answer


def test_a_dead_letter_is_replayed_once(trained_stack: Settings) -> None:
    """Dead letters are selected by reason; one whose replay failed is not replayed again."""
    topics = bootstrap.topics(trained_stack)
    before = len(dead_letters(trained_stack))
    topics.send([Outgoing(topic=QUESTION_TOPIC, key=b"operator", value=b"\xff\xfe no text")])
    wait_for_dead_letters(trained_stack, before + 1)
    turn = dead_letters(trained_stack)[-1].headers["turn_id"]
    dry = cli("replay-dead-letters", "--reason", "not_utf8", "--dry-run")
    assert turn in {replay["replay_of"] for replay in dry["replays"]}
    assert len(dead_letters(trained_stack)) == before + 1
    sent = cli("replay-dead-letters", "--reason", "not_utf8")
    assert [replay["replay_of"] for replay in sent["replays"]] == [replay["replay_of"] for replay in dry["replays"]]
    wait_for_dead_letters(trained_stack, before + 1 + len(sent["replays"]))
    again = cli("replay-dead-letters", "--reason", "not_utf8")
    assert again["replays"] == []
    assert again["left"]["died_again"] >= 1


def test_a_version_can_be_rolled_back_while_mlflow_hangs(
    trained_stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers need no registry for it; a second rollback moves the aliases once MLflow responds again."""
    bot = bot_with_champion(trained_stack)
    question = Utterance(bot=bot, sender="하늘", text=first_seed_question(trained_stack, bot))
    good = champion_versions(trained_stack)[bot]
    assert good is not None
    bad = register_again(trained_stack, bot, good, tmp_path)
    cli("rollout", bot, "--version", str(bad))
    assert ask_bots(trained_stack, question)[0].version == str(bad)
    monkeypatch.setenv("KOGPT2_ROLLOUT__REGISTRY_TIMEOUT_S", "3")
    with suspended(trained_stack, "mlflow"):
        done = run_cli("rollback", bot)
        assert done.returncode != 0
        assert f"version {good} answers again" in done.stderr
        assert ask_bots(trained_stack, question)[0].version == str(good)
    monkeypatch.delenv("KOGPT2_ROLLOUT__REGISTRY_TIMEOUT_S")
    assert champion_versions(trained_stack)[bot] == bad
    assert cli("rollback", bot)["version"] == good
    assert champion_versions(trained_stack)[bot] == good


@contextmanager
def suspended(settings: Settings, name: str) -> Iterator[None]:
    """Suspend a server, so that it accepts connections and does not respond."""
    pid = next(service.pid for service in status(settings).services if service.name == name)
    leader = psutil.Process(pid)
    processes = [leader, *leader.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def dead_letters(settings: Settings) -> list[Record]:
    """Return all dead letters, oldest first."""
    topics = bootstrap.topics(settings)
    starts, ends = topics.start_positions(DEAD_LETTER_TOPIC), topics.end_positions(DEAD_LETTER_TOPIC)
    found = [record for n, end in ends.items() for record in topics.read(DEAD_LETTER_TOPIC, n, starts[n], end)]
    return sorted(found, key=lambda record: record.timestamp_ms)


def wait_for_dead_letters(settings: Settings, count: int) -> None:
    """Wait until there are so many dead letters."""
    wait_until(lambda: len(dead_letters(settings)) >= count, 60, lambda: f"{len(dead_letters(settings))} dead letters")
