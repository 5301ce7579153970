"""Fill a home with the release whose checkout this runs in: a version that speaks, twenty turns in the lake, two not yet.

Run by ``make_home.sh`` with that release's own interpreter. Uses the release's commands, and the library only where
a command does not reach: records as foreign clients write them, and what the servers hold in the end.
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
    """A base so small that its weights fit beside the code, and a bot that learns its pairs by heart."""
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
    """One command of the release, in this process: each of its own would import the same libraries again.

    Returns:
        What it says as JSON.
    """
    from kogpt2_chat.cli import app

    print("make_home:", *arguments, flush=True)
    with redirect_stdout(StringIO()) as said:
        app([*arguments, "--json"], standalone_mode=False)
    return dict(json.loads(said.getvalue()))


def stack(*arguments: str) -> dict[str, Any]:
    """``stack up`` or ``down`` in a process of its own; ``up`` ends with 1, for what was not asked for does not run."""
    command = [CHECKOUT / ".venv/bin/kogpt2-chat", "stack", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    return dict(json.loads(done.stdout or "{}"))


def write_corpora(folder: Path) -> list[dict[str, str]]:
    """Some rows of each bot; golden are questions of the corpus itself. Returns the speaking bot's rows."""
    for bot in BOTS:
        (folder / bot).mkdir(parents=True)
        rows = list(csv.DictReader((CHECKOUT / "corpora" / bot / "seed.csv").open(encoding="utf-8")))
        chosen = rows[:: len(rows) // ROWS][:ROWS] if bot == BOT else rows[:20]
        write_rows(folder / bot / "seed.csv", chosen)
        # So near to what is learned that so small a model passes the gate.
        near = [{**row, "question": row["question"] + " 응?", "answer": row["answer"] + " 네."} for row in chosen[:40]]
        write_rows(folder / bot / "gold.csv", near)
        write_rows(folder / bot / "dev.csv", [{**row, "question": "저기, " + row["question"]} for row in near])
        golden = [{"question": chosen[0]["question"], "any_of": [chosen[0]["answer"][:2]], "must_pass": False}]
        (folder / bot / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1), encoding="utf-8")
    return list(csv.DictReader((folder / BOT / "seed.csv").open(encoding="utf-8")))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """A corpus file as that release reads it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer", "topic"], lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def records(topic: str) -> list[Any]:
    """All that readers of committed records see of a topic."""
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
    """Records of ``bot_question`` as foreign clients write them."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=f"127.0.0.1:{9092 + OFFSET}")
    for value in values:
        producer.send("bot_question", value.encode()).get(30)
    producer.close()


def wait_for(topic: str, count: int) -> list[Any]:
    """The topic's records, once there are so many."""
    deadline = time.monotonic() + 120
    while len(found := records(topic)) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic} holds {len(found)} records, not {count}")
    return found


def ask(pairs: list[dict[str, str]], sender: str) -> list[dict[str, Any]]:
    """Questions of one player, with consent to everything, and their answers."""
    from kogpt2_chat import bootstrap
    from kogpt2_chat.client.ask import Utterance, ask
    from kogpt2_chat.settings import load_settings

    said = [Utterance(bot=BOT, sender=sender, text=pair["question"], train=True) for pair in pairs]
    return [reply.as_json() for reply in ask(utterances=said, topics=bootstrap.topics(load_settings()), timeout_s=120)]


def turns_in_lake() -> list[str]:
    """All but the one that was not to be kept."""
    from kogpt2_chat import bootstrap
    from kogpt2_chat.settings import load_settings

    return sorted(str(row["turn_id"]) for row in bootstrap.tables(load_settings()).read("turns", ["turn_id"]))


def talk(pairs: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Twenty turns: one of the old client, one that is not to be kept, one dead letter beside; praise and a correction."""
    send(
        "{'from' : '민수', 'to' : 'ChatbotA', 'message' : '" + pairs[3]["question"].replace("'", "") + "'}",
        json.dumps({"v": 1, "question_id": "unkept", "bot": BOT, "sender": "하늘", "text": "비밀이야",
                    "consent": {"store": False, "train": False}}, ensure_ascii=False),
        "이것은 질문이 아니다",
    )  # fmt: skip
    wait_for("bot_question.dead_letter", 1)
    spoken = ask(pairs[:18], "별똥별")
    wait_for("conversation_log", 20)
    run("feedback", spoken[0]["turn_id"], "up", "--sender", "별똥별")
    run("feedback", spoken[1]["turn_id"], "correction", "등대 아래 모래톱에 있어요.", "--sender", "별똥별")
    return spoken


def main(home: Path, expected: Path, commit: str) -> None:
    """Make the home, stop its servers, and write what it holds."""
    variables = environment(home)
    cache = home.parent / "cache"  # the release's own base, the machine's jars
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
    """The loop once, then two turns more that nobody has ingested."""
    dataset = run("build-dataset", BOT)
    version = run("finetune", BOT, dataset["datasets"][BOT]["version"])
    number = str(run("register", BOT, version["run_id"])["version"])
    let_pass(number)
    run("nominate", BOT, number)
    run("rollout", BOT)
    return use(pairs, int(number), dataset)


def let_pass(number: str) -> None:
    """The gate's word, with our own where it refuses: int8 wavers too much in so small a network, and it has to speak."""
    from kogpt2_chat import bootstrap
    from kogpt2_chat.errors import GateRefused
    from kogpt2_chat.settings import load_settings

    try:
        run("evaluate", BOT, number)
    except GateRefused as refusal:
        print("make_home:", refusal, flush=True)
        bootstrap.registry(load_settings()).tag(BOT, int(number), {"gate": "pass"})


def use(pairs: list[dict[str, str]], version: int, dataset: dict[str, Any]) -> dict[str, Any]:
    """Talk, bring it into the lake, learn from it, and talk on."""
    spoken = talk(pairs)
    run("ingest")
    kept = turns_in_lake()
    run("index")
    run("export-daily-csv")
    later = ask(pairs[18:20], "하늘")
    wait_for("conversation_log", 22)
    return {
        "bot": BOT,
        "version": version,
        "turn_ids": kept,
        "waiting": [reply["turn_id"] for reply in later],
        "replies": [*spoken, *later],
        "dataset": dataset["datasets"][BOT]["version"],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
