"""Subjects without Kafka: the original loop, transformers' generate, and the bare loop of the serving engine."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from benchmarks.workload import NEW_TOKENS, BenchQuestion, RunResult
from kogpt2_chat.domain.chat.prompt import PAD_ID
from kogpt2_chat.inference.engine import BotModel, Engine
from kogpt2_chat.network.load import load_bot
from kogpt2_chat.settings import Settings


@torch.inference_mode()
def original(network: GPT2LMHeadModel, prompts: Sequence[list[int]]) -> RunResult:
    """Answer one question after another in fp32, and compute the whole sequence again for each token."""
    outcome = RunResult()
    started = time.perf_counter()
    for prompt in prompts:
        asked_at, ids = time.perf_counter(), list(prompt)
        for _ in range(NEW_TOKENS):
            ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        outcome.latencies_s.append(time.perf_counter() - asked_at)
    outcome.seconds = time.perf_counter() - started
    return outcome


@torch.inference_mode()
def generate(network: GPT2LMHeadModel, prompts: Sequence[list[int]], batch: int) -> RunResult:
    """Run transformers' generate on one batch after another; all answers of a batch arrive at its end."""
    outcome = RunResult()
    started = time.perf_counter()
    for first in range(0, len(prompts), batch):
        asked_at, ids = time.perf_counter(), torch.tensor(prompts[first : first + batch])
        network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS,
            do_sample=False, pad_token_id=PAD_ID,
        )  # fmt: skip
        outcome.latencies_s += [time.perf_counter() - asked_at] * len(ids)
    outcome.seconds = time.perf_counter() - started
    return outcome


def reference_network(folder: Path, settings: Settings) -> GPT2LMHeadModel:
    """Return the version's network in torch, in fp32."""
    return load_bot(folder, settings).network


class BareLoop:
    """The serving engine without Kafka: the upper limit of the worker's throughput."""

    def __init__(self, engine: Engine, model_by_bot: dict[str, BotModel]) -> None:
        self._engine, self._models = engine, model_by_bot

    def ask(self, question: BenchQuestion) -> None:
        """Add a question."""
        model = self._models[question.bot]
        self._engine.add_request(question.id, model, model.encode(question.text))

    def answered(self, wait_s: float) -> list[str]:
        """Run one step and return the ids of finished questions; sleep if there are none in flight."""
        if not self._engine.in_flight:
            time.sleep(wait_s)
            return []
        return [done.request_id for done in self._engine.step()]
