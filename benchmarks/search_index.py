"""Repair of the search index and export of the daily files: time and memory by size of the lake.

Run it on a stack of its own with Kafka, HDFS and Elasticsearch, whose lake and index are empty:
``python -m benchmarks.search_index --turns 100000``. Each measurement is a command in its own process.
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from typing import Annotated, Any, Final

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.corpora.shipped import read_pairs
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.lake.layout import TURNS, app_id, turn_row
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Row
from kogpt2_chat.settings import CHECKOUT, Settings, load_settings

PARTITIONS: Final = 12
_FILL_ROWS: Final = 20_000
_DAMAGED: Final = 1000
_POLL_S: Final = 0.2


def main(
    turns: Annotated[int, typer.Option(help="number of turns, of three bots")] = 100_000,
    days: Annotated[int, typer.Option(help="number of days that they are of")] = 36,
) -> None:
    """Fill the lake, measure each command, and print a table."""
    settings = load_settings()
    index, tables = bootstrap.index(settings), bootstrap.tables(settings)
    if tables.table_version(TURNS.name) is not None or index.count(TURN_INDEX):
        raise InvalidInput(f"the lake or the index of {settings.home} has turns: use a stack of its own")
    started = time.monotonic()
    start = datetime.now(UTC) - timedelta(days=days)
    for first in range(0, turns, _FILL_ROWS):
        numbers = range(first, min(turns, first + _FILL_ROWS))
        add([synthetic_row(number, start + number * timedelta(days=days) / turns) for number in numbers], settings)
    print(f"{turns} turns written to the lake in {time.monotonic() - started:.0f} s", flush=True)
    rows = [measure("index: empty index", turns, "index"), measure("index: nothing to do", turns, "index")]
    add([synthetic_row(turns, datetime.now(UTC))], settings)
    rows.append(measure("index: one new turn", turns, "index"))
    index.remove(TURN_INDEX, [_turn_id(number) for number in range(0, turns, max(1, turns // _DAMAGED))])
    index.put(TURN_INDEX, [(f"ghost-{number}", {"bot": BOT_IDS[0]}) for number in range(_DAMAGED)])
    rows.append(measure("index --rebuild: 1,000 missing, 1,000 too many", turns, "index", "--rebuild"))
    rows.append(measure("export-daily-csv: all days", turns, "export-daily-csv"))
    add([synthetic_row(turns + 1, datetime.now(UTC))], settings)
    rows.append(measure("export-daily-csv: one new turn", turns, "export-daily-csv"))
    print("\n".join(["| command | s | CPU s | turns/s | peak MB | result |", "|---|---|---|---|---|---|", *rows]))


def measure(name: str, turns: int, *command: str) -> str:
    """Run a command in its own process.

    Returns:
        A row of the table.
    """
    started, before = time.monotonic(), os.times()
    with TemporaryFile() as output:
        process = Popen([sys.executable, "-m", "kogpt2_chat.cli", *command, "--json"], stdout=output)
        peak_mb = 0.0
        while process.poll() is None:
            # Not ru_maxrss: that includes the memory of the process that started the command.
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            time.sleep(_POLL_S)
        seconds, after = time.monotonic() - started, os.times()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
        output.seek(0)
        result = ", ".join(f"{key} {value}" for key, value in _shown(json.load(output)))
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    found = f"| {name} | {seconds:.1f} | {cpu:.1f} | {turns / seconds:.0f} | {peak_mb:.0f} | {result} |"
    print(found, flush=True)
    return found


def _peak_mb(pid: int) -> float:
    """Return the most memory that a process has had so far; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _shown(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in result.items():
        if isinstance(value, int | str):
            yield key, value
        elif isinstance(value, list):
            yield key, len(value)


def add(rows: list[Row], settings: Settings) -> None:
    """Add rows to the table ``turns`` as ingest does, with the positions that it has read."""
    tables = bootstrap.tables(settings)
    ends: dict[str, int] = {}
    for row in rows:
        name = app_id(TURNS.name, TURNS.topic, int(str(row["kafka_partition"])))
        ends[name] = max(ends.get(name, 0), int(str(row["kafka_offset"])) + 1)
    tables.append(TURNS.name, rows, ends)


def synthetic_row(number: int, at: datetime) -> Row:
    """Return the row of a turn like those of the demo: a question of the seed corpus with two words more."""
    draw = random.Random(number)  # noqa: S311 - questions, not secrets
    bot = BOT_IDS[number % len(BOT_IDS)]
    pair = draw.choice(_pairs(bot))
    turn = Turn(
        turn_id=_turn_id(number),
        question_id=f"{number:032x}",
        bot=bot,
        player_id=f"player-{draw.randrange(5000)}",
        sender=f"손님{draw.randrange(5000)}",
        session_id=f"{draw.randrange(1 << 60):016x}",
        text=f"{pair.question} {_word(draw)} {_word(draw)}",
        answer=pair.answer,
        answer_token_ids=tuple(draw.randrange(51_200) for _ in range(14)),
        prompt_tokens=12,
        model_version=1 + number % 7,
        epoch=3,
        decoding={
            "engine": "openvino", "form": "int8", "max_new_tokens": 48, "stop_reason": "end", "top_p": 1.0,
            "nearest": {"likeness": draw.random(), "source": "seed"},
        },
        received_at=at.isoformat(),
        answered_at=(at + timedelta(milliseconds=300)).isoformat(),
        sent_at=at.isoformat(),
        latency_ms=300,
        consent_store=True,
        consent_train=number % 2 == 0,
        source="v1",
        worker="worker-1",
        kafka_ms=4,
        queue_ms=20,
        decode_ms=270,
        unknown_tokens=0,
    )  # fmt: skip
    return turn_row(
        turn,
        partition=number % PARTITIONS,
        offset=number // PARTITIONS,
        timestamp_ms=int(at.timestamp() * 1000) + 320,
        ingested_at=at + timedelta(minutes=5),
    )


def _turn_id(number: int) -> str:
    return f"bot_question-{number % PARTITIONS}-{number // PARTITIONS}"


@cache
def _pairs(bot: str) -> list[Pair]:
    return read_pairs(CHECKOUT / "corpora" / bot / "seed.csv")


def _word(draw: random.Random) -> str:
    return "".join(chr(draw.randrange(0xAC00, 0xD7A4)) for _ in range(3))


if __name__ == "__main__":
    typer.run(main)
