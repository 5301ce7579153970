"""Time the steps of a learning loop for one bot on any base, without servers: where a demo's time and memory go.

``python -m benchmarks.steps FOLDER [--bot ChatbotA] [--answer-tokens N] [--corrections N]`` trains version 1 from the
base in FOLDER, lets the gate decide, loads it as a worker does, and does the same with version 2, which learns the
demo's corrections. Registry and lake are the tests' doubles, so uploads cost only a copy. With few answer tokens it
takes minutes, and the gate refuses; then version 2 starts from version 1 all the same.
"""

import argparse
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from kogpt2_chat.corpora.shipped import read_pairs
from kogpt2_chat.demo.players import load_script
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.lake.layout import dataset_path
from kogpt2_chat.domain.learning.dataset import Manifest, Split
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry

_EVERY_S: Final = 0.05
_HELD_OUT: Final = 0.05


@dataclass(slots=True)
class Steps:
    """Seconds and peak memory of each step.

    Attributes:
        seconds: wall-clock seconds by step.
        peak_mb: largest resident memory of this process during the step, in MiB.
        lines: progress lines with the second of the step in which they came.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Measure one step; yield the function for its progress lines."""
        started, ended, process, peak = time.monotonic(), threading.Event(), psutil.Process(), [0]

        def watch() -> None:
            while not ended.wait(_EVERY_S):
                peak[0] = max(peak[0], process.memory_info().rss)

        def say(line: str) -> None:
            self.lines.append(f"{name} {time.monotonic() - started:7.1f} s: {line}")
            print(self.lines[-1], flush=True)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield say
        finally:
            ended.set()
            watcher.join()
        self.seconds[name], self.peak_mb[name] = round(time.monotonic() - started, 1), peak[0] >> 20
        say(f"ended, peak {self.peak_mb[name]} MB")


def run(bot: str, settings: Settings, corrections: int) -> Steps:
    """Run the steps of version 1, and of version 2 if it learns corrections, for one bot.

    Args:
        bot: the bot.
        settings: the base, and the recipe.
        corrections: number of the demo's lessons that version 2 learns.

    Returns:
        The measurements; the last line of each evaluation has the gate's reasons.
    """
    from kogpt2_chat.jobs.evaluate import evaluate
    from kogpt2_chat.jobs.finetune import finetune
    from kogpt2_chat.jobs.register import register
    from kogpt2_chat.training.base import prepare

    files, registry, steps = InMemoryFiles(), InMemoryRegistry(), Steps()
    seeds = read_pairs(settings.learning.corpora / bot / "seed.csv")
    lessons = [lesson for lesson in load_script(settings.learning.corpora).lessons if lesson.bot == bot]
    taught = [
        Pair(question=one.question, answer=one.answer, source="correction", weight=settings.training.new_pair_weight)
        for one in lessons[:corrections]
    ]
    with steps.step("base") as say:
        prepare(settings, say)
    for version, extra in enumerate(([], taught) if taught else ([],), start=1):
        dataset = f"d{version}"
        put_dataset(files, settings, bot, dataset, splits(seeds, extra))
        with steps.step(f"finetune {version}") as say:
            trained = finetune(
                bot=bot, dataset=dataset, mode="from_champion", epochs=None, files=files, registry=registry,
                settings=settings, progress=say,
            )  # fmt: skip
        with steps.step(f"register {version}"):
            register(bot=bot, run_id=trained.run_id, registry=registry, files=files, settings=settings)
        with steps.step(f"evaluate {version}") as say:
            decision = evaluate(
                bot=bot, version=version, registry=registry, files=files, settings=settings, progress=say
            )
            say("; ".join(decision.refusals()) or "every blocking rule holds")
        with steps.step(f"load {version}") as say:
            _load(bot, version, settings, say)
        registry.set_alias(bot, "champion", version)
    return steps


def _load(bot: str, version: int, settings: Settings, say: Callable[[str], None]) -> None:
    from kogpt2_chat.errors import GateRefused
    from kogpt2_chat.inference.loading import load_for_players

    try:
        load_for_players(settings.home / "versions" / bot / str(version), settings, on_choice=lambda one: say(str(one)))
    except GateRefused as error:
        say(str(error))


def splits(seeds: Sequence[Pair], taught: Sequence[Pair]) -> dict[Split, list[Pair]]:
    """Return pairs by split as in a dataset: a twentieth of the seeds each in val and test, the taught in train."""
    shuffled = list(seeds)
    random.Random(1).shuffle(shuffled)  # noqa: S311 - a sample, not secrets
    held_out = int(len(seeds) * _HELD_OUT)
    return {
        "train": [*taught, *shuffled[2 * held_out :]],
        "val": shuffled[:held_out],
        "test": shuffled[held_out : 2 * held_out],
    }


def put_dataset(
    files: InMemoryFiles, settings: Settings, bot: str, dataset: str, pairs: Mapping[Split, Sequence[Pair]]
) -> None:
    """Publish a dataset as a build does."""
    folder = dataset_path(settings.hdfs.root, bot, dataset)
    for split, some in pairs.items():
        rows = [
            {"question": pair.question, "answer": pair.answer, "source": pair.source, "topic": pair.topic,
             "weight": float(pair.weight), "turn_id": "", "player_id": "", "cluster": str(index)}
            for index, pair in enumerate(some)
        ]  # fmt: skip
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        files.write(f"{folder}/{split}.parquet/part-0.parquet", sink.getvalue().to_pybytes())
        files.write(f"{folder}/{split}.parquet/_SUCCESS", b"")
    manifest = Manifest(
        bot=bot, dataset_id=dataset, content_hash=dataset, created_at="", counts={}, sources={}, rejects={},
        new_pairs=0, previous=None, table_versions={},
    )  # fmt: skip
    files.write(f"{folder}/manifest.json", manifest.to_json().encode())


def main() -> None:
    """Read the command line, run the steps and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("folder", help="base: a folder, a hub id or `small`")
    parser.add_argument("--bot", choices=BOT_IDS, default=BOT_IDS[0])
    parser.add_argument("--answer-tokens", type=int, default=0, help="shorten version 1; 0: the setting")
    parser.add_argument("--corrections", type=int, default=8, help="lessons that version 2 learns; 0: no version 2")
    parser.add_argument("--out", type=Path, default=Path("var/bench/steps.json"), help="file for the figures")
    asked = parser.parse_args()
    settings = load_settings()
    with tempfile.TemporaryDirectory(prefix="kogpt2-steps-") as home:
        model = settings.model.model_copy(update={"base": asked.folder})
        tokens = asked.answer_tokens or settings.training.answer_tokens
        training = settings.training.model_copy(update={"answer_tokens": tokens})
        settings = settings.model_copy(update={"home": Path(home), "model": model, "training": training})
        steps = run(asked.bot, settings, asked.corrections)
    for name, seconds in steps.seconds.items():
        print(f"{name:12} {seconds:8.1f} s {steps.peak_mb[name]:6} MB")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"seconds": steps.seconds, "peak_mb": steps.peak_mb, "lines": steps.lines}
    asked.out.write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    main()
