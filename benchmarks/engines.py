"""Subjects without Kafka: the original way, transformers' generate, and the bare loop of the serving engine."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from benchmarks.workload import NEW_TOKENS, Asked, Outcome
from kogpt2_chat.domain.chat.prompt import PAD_ID
from kogpt2_chat.inference.engine import BotModel, Engine
from kogpt2_chat.network.load import load_bot
from kogpt2_chat.settings import Settings


@torch.inference_mode()
def original(network: GPT2LMHeadModel, prompts: Sequence[list[int]]) -> Outcome:
    """One question after another, the whole sequence again for each token, fp32."""
    outcome = Outcome()
    began = time.perf_counter()
    for prompt in prompts:
        asked_at, ids = time.perf_counter(), list(prompt)
        for _ in range(NEW_TOKENS):
            ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        outcome.latencies_s.append(time.perf_counter() - asked_at)
    outcome.seconds = time.perf_counter() - began
    return outcome


@torch.inference_mode()
def generate(network: GPT2LMHeadModel, prompts: Sequence[list[int]], batch: int) -> Outcome:
    """Transformers' own generate, a batch after another; all answers of a batch come at its end."""
    outcome = Outcome()
    began = time.perf_counter()
    for first in range(0, len(prompts), batch):
        asked_at, ids = time.perf_counter(), torch.tensor(prompts[first : first + batch])
        network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS,
            do_sample=False, pad_token_id=PAD_ID,
        )  # fmt: skip
        outcome.latencies_s += [time.perf_counter() - asked_at] * len(ids)
    outcome.seconds = time.perf_counter() - began
    return outcome


def reference_network(folder: Path, settings: Settings) -> GPT2LMHeadModel:
    """The version's weights in torch, fp32."""
    return load_bot(folder, settings).network


class BareLoop:
    """The serving engine alone: what the worker could reach if all else cost nothing."""

    def __init__(self, engine: Engine, model_by_bot: dict[str, BotModel]) -> None:
        self._engine, self._models = engine, model_by_bot

    def ask(self, asked: Asked) -> None:
        """Take a question."""
        model = self._models[asked.bot]
        self._engine.add_request(asked.id, model, model.encode(asked.text))

    def answered(self, wait_s: float) -> list[str]:
        """One step; without questions, a nap."""
        if not self._engine.in_flight:
            time.sleep(wait_s)
            return []
        return [done.request_id for done in self._engine.step()]
