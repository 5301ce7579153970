"""The hyperparameter search for the small base: each candidate is trained until the held-out NLL stops improving.

Likelihoods are compared per character, because vocabularies differ. ``python -m benchmarks.small_base FILE.json [COUNT
[SECONDS]]`` trains the candidates in parallel, in as many processes as the environment variable PROCESSES says (2 by
default). With a GPU it takes minutes.
"""

import json
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import load_settings

CHOICES: Final[Mapping[str, Sequence[Any]]] = {
    "small_layers": (2, 3, 4, 6),
    "small_width": (192, 256, 320, 384),
    "small_vocabulary": (1500, 2500, 4000, 6000),
    "small_dropout": (0.1, 0.2, 0.3, 0.4),
    "small_learning_rate": (5e-4, 1e-3, 1.5e-3, 2.5e-3),
    "small_weight_decay": (0.01, 0.1, 0.3),
    "small_label_smoothing": (0.0, 0.1),
    "small_batch_size": (32, 64, 128),
    "small_learn_questions": (False, True),
}
_FIRST: Final = {name: values[len(values) // 2] for name, values in CHOICES.items()}


def candidates(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return a first guess, then its variations in a single setting, then random combinations."""
    draw = random.Random(seed)  # noqa: S311 - a sample, not secrets
    found = [dict(_FIRST)]
    found += [{**_FIRST, name: value} for name, values in CHOICES.items() for value in values if value != _FIRST[name]]
    while len(found) < count:
        found.append({name: draw.choice(values) for name, values in CHOICES.items()})
    return found[:count]


def trial(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Train the small base with one choice of settings.

    Args:
        chosen: fields of ``settings.model``.

    Returns:
        The choice and its results: NLL, epochs, weights and seconds.
    """
    import torch

    from kogpt2_chat.corpora.shipped import read_pairs
    from kogpt2_chat.domain.chat.prompt import bot_token_ids
    from kogpt2_chat.network.batches import make_examples
    from kogpt2_chat.network.network import gpt2_config, new_network, nll_by_example
    from kogpt2_chat.training.fit import fit
    from kogpt2_chat.training.small_base import best_nll, read_corpus, small_recipe, unigram_nll

    torch.set_num_threads(1)
    started = time.monotonic()
    settings = load_settings()
    settings = settings.model_copy(update={"model": settings.model.model_copy(update=dict(chosen))})
    corpus = read_corpus(settings)
    model = settings.model
    config = gpt2_config(
        vocabulary=corpus.tokenizer.size, layers=model.small_layers, width=model.small_width, heads=model.small_heads,
        positions=256, dropout=model.small_dropout,
    )  # fmt: skip
    network = new_network(config, settings.training.seed)
    reports = fit(network, corpus.learned, small_recipe(settings), validation=corpus.held_out)
    gold_tokens = gold_chars = gold_nat = 0.0
    for bot in BOT_IDS:
        pairs = read_pairs(settings.learning.corpora / bot / "gold.csv")
        examples = make_examples(pairs, corpus.tokenizer, 128, 48, bot_token_ids(bot))
        lengths = [len(example.ids) - example.answer_start for example in examples]
        gold_nat += sum(n * nll for n, nll in zip(lengths, nll_by_example(network, examples), strict=True))
        gold_tokens += sum(lengths)
        gold_chars += sum(len(pair.answer) for pair in pairs)
    return {
        **chosen,
        "held_out_nll": best_nll(reports),
        "held_out_unigram_nll": unigram_nll(corpus.answers, corpus.held_out),
        "gold_nll": gold_nat / gold_tokens,
        "gold_nat_per_char": gold_nat / gold_chars,
        "epochs": len(reports),
        "loss": reports[-1].loss,
        "weights": sum(weight.numel() for weight in network.parameters()),
        "seconds": round(time.monotonic() - started, 1),
    }


def sweep(path: Path, count: int, processes: int, deadline_s: float) -> None:
    """Train candidates in parallel until the deadline, and write their results, the best first."""
    started, rows = time.monotonic(), []
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    futures = [pool.submit(trial, chosen) for chosen in candidates(count)]
    try:
        for future in as_completed(futures, timeout=deadline_s):
            rows.append(future.result())
            rows.sort(key=lambda row: row["gold_nat_per_char"])
            path.write_text(json.dumps(rows, indent=1), "utf-8")
            print(f"{len(rows)}/{count} after {time.monotonic() - started:.0f} s: {rows[0]}", flush=True)
    except TimeoutError:
        print(f"stopped at the deadline after {len(rows)} of {count} candidates", flush=True)
    pool.shutdown(wait=False, cancel_futures=True)
    for process in list(getattr(pool, "_processes", {}).values()):
        process.terminate()


if __name__ == "__main__":
    sweep(
        Path(sys.argv[1]),
        count=int(sys.argv[2]) if len(sys.argv) > 2 else 70,
        processes=int(os.environ.get("PROCESSES", "2")),
        deadline_s=float(sys.argv[3]) if len(sys.argv) > 3 else 3600.0,
    )
