"""What an operator does with the CLI, on real servers, with models that Airflow has trained."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.artifact.card import VERSION_PATH
from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.status import status
from tests.loop import champion_versions, say, until


def cli(*words: str) -> Any:
    """One command, as a person would type it, with its result as JSON."""
    ended = run_cli(*words, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def run_cli(*words: str) -> subprocess.CompletedProcess[str]:
    """One command, however it ends."""
    command = [str(Path(sys.executable).with_name("kogpt2-chat")), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def speaking_bot(settings: Settings) -> str:
    """One that has a champion; which one the gate refused is left to it."""
    return next(bot for bot, version in champion_versions(settings).items() if version is not None)


def a_seed_question(settings: Settings, bot: str) -> str:
    with (settings.learning.corpora / bot / "seed.csv").open(encoding="utf-8", newline="") as seed:
        return next(csv.DictReader(seed))["question"]


def test_a_muted_bot_says_its_notice_until_it_is_unmuted(speaking_bots: Settings) -> None:
    """Every worker has heard of it when the command comes back, so that the very next question finds it so."""
    bot = speaking_bot(speaking_bots)
    question = Utterance(bot=bot, sender="하늘", text=a_seed_question(speaking_bots, bot))
    try:
        muted = cli("mute", bot, "--reason", "이상한 답을 한다")
        assert muted["changed"]
        assert muted["workers"]
        assert [reply.fallback for reply in say(speaking_bots, question)] == ["muted"]
    finally:
        unmuted = cli("unmute", bot)
    assert unmuted["epoch"] > muted["epoch"]
    assert say(speaking_bots, question)[0].fallback not in {"muted", "degraded"}


def test_an_answer_is_explained_down_to_its_tokens(speaking_bots: Settings) -> None:
    """The reference engine, given the stored prompt and version, says the same, or the first difference is shown."""
    bot = speaking_bot(speaking_bots)
    asked = Utterance(bot=bot, sender="하늘", text=a_seed_question(speaking_bots, bot))
    [reply] = say(speaking_bots, asked)
    found = cli("explain", reply.turn_id, "--top", "3")
    assert (found["question"], found["answer"], str(found["version"])) == (asked.text, reply.answer, reply.version)
    assert found["exact_prompt"]
    assert len(found["prompt"]) == found["prompt_tokens"]
    steps = found["replay"]["steps"]
    assert all(len(step["choices"]) == 3 for step in steps)
    if found["fallback"] == "nearest":  # the version was unsure: the note names the known question that was answered
        assert asked.text in " ".join(found["notes"])
        return
    assert found["replay"]["difference"] is not None or found["replay"]["answer"] == reply.answer


def test_a_dead_letter_is_asked_again_once(speaking_bots: Settings) -> None:
    """By the reason that is given; one that dies again is left for a person to look at."""
    topics = bootstrap.topics(speaking_bots)
    before = len(letters(speaking_bots))
    topics.send([Outgoing(topic=QUESTION_TOPIC, key=b"operator", value=b"\xff\xfe no text")])
    await_letters(speaking_bots, before + 1)
    turn = letters(speaking_bots)[-1].headers["turn_id"]
    dry = cli("replay-dead-letters", "--reason", "not_utf8", "--dry-run")
    assert turn in {replay["replay_of"] for replay in dry["replays"]}
    assert len(letters(speaking_bots)) == before + 1
    sent = cli("replay-dead-letters", "--reason", "not_utf8")
    assert [replay["replay_of"] for replay in sent["replays"]] == [replay["replay_of"] for replay in dry["replays"]]
    await_letters(speaking_bots, before + 1 + len(sent["replays"]))
    again = cli("replay-dead-letters", "--reason", "not_utf8")
    assert again["replays"] == []
    assert again["left"]["died_again"] >= 1


def test_a_bad_version_is_gone_while_mlflow_hangs(
    speaking_bots: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers need no registry for it, and the command waits for none; the aliases follow when it answers."""
    bot = speaking_bot(speaking_bots)
    question = Utterance(bot=bot, sender="하늘", text=a_seed_question(speaking_bots, bot))
    good = champion_versions(speaking_bots)[bot]
    assert good is not None
    bad = register_again(speaking_bots, bot, good, tmp_path)
    cli("rollout", bot, "--version", str(bad))
    assert say(speaking_bots, question)[0].version == str(bad)
    monkeypatch.setenv("KOGPT2_ROLLOUT__REGISTRY_TIMEOUT_S", "3")
    with stopped(speaking_bots, "mlflow"):
        ended = run_cli("rollback", bot)
        assert ended.returncode != 0
        assert f"version {good} answers again" in ended.stderr
        assert say(speaking_bots, question)[0].version == str(good)
    monkeypatch.delenv("KOGPT2_ROLLOUT__REGISTRY_TIMEOUT_S")
    assert champion_versions(speaking_bots)[bot] == bad
    assert cli("rollback", bot)["version"] == good
    assert champion_versions(speaking_bots)[bot] == good


def register_again(settings: Settings, bot: str, version: int, folder: Path) -> int:
    """Another version with the same files, which has passed the gate as they did."""
    registry = bootstrap.registry(settings)
    files = registry.download(bot, version, folder / "version")
    run_id = registry.start_run(f"{bot} again", {}, {"bot": bot})
    registry.log_files(run_id, files, VERSION_PATH)
    registry.end_run(run_id)
    return registry.add_version(bot, run_id, VERSION_PATH, registry.get(bot, version).tags)


@contextmanager
def stopped(settings: Settings, name: str) -> Iterator[None]:
    """A server that takes connections and answers nobody."""
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


def letters(settings: Settings) -> list[Record]:
    """Every dead letter, in the order of time."""
    topics = bootstrap.topics(settings)
    starts, ends = topics.start_positions(DEAD_LETTER_TOPIC), topics.end_positions(DEAD_LETTER_TOPIC)
    found = [record for n, end in ends.items() for record in topics.read(DEAD_LETTER_TOPIC, n, starts[n], end)]
    return sorted(found, key=lambda record: record.timestamp_ms)


def await_letters(settings: Settings, count: int) -> None:
    """Until so many can be read."""
    until(lambda: len(letters(settings)) >= count, 60, lambda: f"{len(letters(settings))} dead letters")
