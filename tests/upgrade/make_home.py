"""Make a home with the release in the current folder: a rolled-out version, 20 turns before an ingest, two after it.

``make_home.sh`` runs this with that release's interpreter. It uses the release's commands. It uses libraries only where
there is no command: to write records as other clients do, and to read what the servers store at the end.
"""

import csv
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

BOT = "ChatbotA"
BOTS = ("ChatbotA", "ChatbotB", "ChatbotC")
CHECKOUT = Path.cwd()
ROWS = 160
OFFSET = 6000
SERVICES = "kafka,hdfs,elasticsearch,mlflow,worker"


def environment(home: Path) -> dict[str, str]:
    """Return settings for a base that is small enough for the repository, and a bot that learns its pairs by heart."""
    return {
        "KOGPT2_HOME": str(home),
        "KOGPT2_PORTS__OFFSET": str(OFFSET),
        "KOGPT2_STACK__AIRFLOW_PASSWORD": "test-only-password",
        "KOGPT2_MODEL__BASE": "small",
        "KOGPT2_MODEL__SMALL_LAYERS": "2",
        "KOGPT2_MODEL__SMALL_WIDTH": "96",
        "KOGPT2_MODEL__SMALL_VOCABULARY": "1000",
        "KOGPT2_MODEL__SMALL_EPOCHS": "15",
        "KOGPT2_MODEL__SMALL_BATCH_SIZE": "32",
        "KOGPT2_TRAINING__EPOCHS": "80",
        "KOGPT2_TRAINING__LEARNING_RATE": "0.002",
        "KOGPT2_TRAINING__PRECISION": "fp32",
        "KOGPT2_MODEL__THREADS": "1",
        "KOGPT2_LEARNING__CORPORA": str(home / "corpora"),
        "KOGPT2_LEARNING__QUARANTINE_HOURS": "0",
        "KOGPT2_LEARNING__AUTO_REVIEW": "true",
        "KOGPT2_LEARNING__LEGACY_CONSENT": "true",
        "KOGPT2_LEARNING__MIN_NEW_EXAMPLES": "1",
    }


def run(*arguments: str) -> dict[str, Any]:
    """Run a command of the release in this process, which saves importing its libraries each time.

    Returns:
        The command's JSON result.
    """
    from kogpt2_chat.cli import app

    print("make_home:", *arguments, flush=True)
    with redirect_stdout(StringIO()) as output:
        app([*arguments, "--json"], standalone_mode=False)
    return dict(json.loads(output.getvalue()))


def stack(*arguments: str) -> dict[str, Any]:
    """Run ``stack up`` or ``down`` in a separate process. ``up`` exits with 1, since only some services are started."""
    command = [CHECKOUT / ".venv/bin/kogpt2-chat", "stack", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    return dict(json.loads(done.stdout or "{}"))


def write_corpora(folder: Path) -> list[dict[str, str]]:
    """Write some rows for each bot, with golden questions from its corpus, and return the rows of `BOT`."""
    for bot in BOTS:
        (folder / bot).mkdir(parents=True)
        rows = list(csv.DictReader((CHECKOUT / "corpora" / bot / "seed.csv").open(encoding="utf-8")))
        chosen = rows[:: len(rows) // ROWS][:ROWS] if bot == BOT else rows[:20]
        write_rows(folder / bot / "seed.csv", chosen)
        # So similar to the training pairs that even this small model can pass the gate.
        similar = [
            {**row, "question": row["question"] + " 응?", "answer": row["answer"] + " 네."} for row in chosen[:40]
        ]
        write_rows(folder / bot / "gold.csv", similar)
        write_rows(folder / bot / "dev.csv", [{**row, "question": "저기, " + row["question"]} for row in similar])
        golden = [{"question": chosen[0]["question"], "any_of": [chosen[0]["answer"][:2]], "must_pass": False}]
        (folder / bot / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1), encoding="utf-8")
    return list(csv.DictReader((folder / BOT / "seed.csv").open(encoding="utf-8")))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a corpus file in that release's format."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer", "topic"], lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def records(topic: str) -> list[Any]:
    """Return all committed records of a topic."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        bootstrap_servers=f"127.0.0.1:{9092 + OFFSET}", isolation_level="read_committed", consumer_timeout_ms=3000
    )
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found = list(consumer)
    consumer.close()
    return found


def send(*values: str) -> None:
    """Send records to ``bot_question`` as other clients do."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=f"127.0.0.1:{9092 + OFFSET}")
    for value in values:
        producer.send("bot_question", value.encode()).get(30)
    producer.close()


def wait_for(topic: str, count: int) -> list[Any]:
    """Wait until a topic has so many records, and return them."""
    deadline = time.monotonic() + 120
    while len(found := records(topic)) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic}: expected {count} records, found {len(found)}")
    return found


def ask(pairs: list[dict[str, str]], sender: str) -> list[dict[str, Any]]:
    """Ask the questions of these pairs as one player with consent to training, and return the replies."""
    from kogpt2_chat import bootstrap
    from kogpt2_chat.client.ask import Utterance, ask
    from kogpt2_chat.settings import load_settings

    utterances = [Utterance(bot=BOT, sender=sender, text=pair["question"], train=True) for pair in pairs]
    return [
        reply.as_json() for reply in ask(utterances=utterances, topics=bootstrap.topics(load_settings()), timeout_s=120)
    ]


def turns_in_lake() -> list[str]:
    """Return the turn ids in the lake; a turn without consent to storage is not among them."""
    from kogpt2_chat import bootstrap
    from kogpt2_chat.settings import load_settings

    return sorted(str(row["turn_id"]) for row in bootstrap.tables(load_settings()).read("turns", ["turn_id"]))


def talk(pairs: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Create 20 turns (one of the old client, one without consent to storage), a dead letter and two feedbacks."""
    send(
        "{'from' : '민수', 'to' : 'ChatbotA', 'message' : '" + pairs[3]["question"].replace("'", "") + "'}",
        json.dumps({"v": 1, "question_id": "unkept", "bot": BOT, "sender": "하늘", "text": "비밀이야",
                    "consent": {"store": False, "train": False}}, ensure_ascii=False),
        "이것은 질문이 아니다",
    )  # fmt: skip
    wait_for("bot_question.dead_letter", 1)
    replies = ask(pairs[:18], "별똥별")
    wait_for("conversation_log", 20)
    run("feedback", replies[0]["turn_id"], "up", "--sender", "별똥별")
    run("feedback", replies[1]["turn_id"], "correction", "등대 아래 모래톱에 있어요.", "--sender", "별똥별")
    return replies


def main(home: Path, expected: Path, commit: str) -> None:
    """Make the home, stop its servers, and write down its contents."""
    variables = environment(home)
    cache = home.parent / "cache"  # a new base of this release; the machine's jars
    cache.mkdir(exist_ok=True)
    jars = cache / "jars"
    if not jars.exists():
        jars.symlink_to(Path(os.environ.get("MAKE_HOME_JARS", "/var/cache/kogpt2-chat/jars")))
    os.environ |= {**variables, "KOGPT2_CACHE": str(cache)}
    pairs = write_corpora(home / "corpora")
    try:
        started = stack("up", "--only", SERVICES)
        if not all(service["healthy"] for service in started["services"] if "airflow" not in service["name"]):
            raise SystemExit(f"not healthy: {started}")
        facts = fill(pairs)
    finally:
        stack("down")
    facts |= {"packed_at": int(time.time()), "commit": commit, "home": str(home), "environment": variables}
    expected.write_text(json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def fill(pairs: list[dict[str, str]]) -> dict[str, Any]:
    """Build, train, roll out and use a version."""
    dataset = run("build-dataset", BOT)
    trained = run("finetune", BOT, dataset["datasets"][BOT]["version"])
    number = str(run("register", BOT, trained["run_id"])["version"])
    pass_gate(number)
    run("nominate", BOT, number)
    run("rollout", BOT)
    return use(pairs, int(number), dataset)


def pass_gate(number: str) -> None:
    """Evaluate a version, and tag it as passed in any case: int8 is inaccurate for such a small network."""
    from kogpt2_chat import bootstrap
    from kogpt2_chat.errors import GateRefused
    from kogpt2_chat.settings import load_settings

    try:
        run("evaluate", BOT, number)
    except GateRefused as refusal:
        print("make_home:", refusal, flush=True)
        bootstrap.registry(load_settings()).tag(BOT, int(number), {"gate": "pass"})


def use(pairs: list[dict[str, str]], version: int, dataset: dict[str, Any]) -> dict[str, Any]:
    """Create turns, ingest, index and export them, then create two more turns that are not ingested."""
    replies = talk(pairs)
    run("ingest")
    ingested = turns_in_lake()
    run("index")
    run("export-daily-csv")
    later = ask(pairs[18:20], "하늘")
    wait_for("conversation_log", 22)
    return {
        "bot": BOT,
        "version": version,
        "turn_ids": ingested,
        "waiting": [reply["turn_id"] for reply in later],
        "replies": [*replies, *later],
        "dataset": dataset["datasets"][BOT]["version"],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
