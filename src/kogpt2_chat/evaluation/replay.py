"""A turn run once more, with an eye on every choice.

The replay is the reference engine itself (fp32, control tokens suppressed, drawn with the
turn's own seed where it was drawn), one request in it, and a hook
on the network's last layer that reads the logits it chooses from; so its tokens are the engine's by construction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.domain.learning.explanation import Change, Choice, Replay, Step, Token, answer_changes
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.engine import Finished, Sampling
from kogpt2_chat.network.load import LoadedBot


@dataclass(frozen=True, slots=True)
class _Scores:
    """One step's choices.

    Attributes:
        logits: (vocabulary,) float32, minus infinity for tokens that may not be chosen.
        allowed: how many may be.
        tokenizer: for their spelling.
    """

    logits: Tensor
    allowed: int
    tokenizer: ChatTokenizer

    def choices(self, token_ids: Sequence[int]) -> tuple[Choice, ...]:
        """Tokens with their probability; 0 for one that this network may not say, or does not have."""
        probabilities = self.logits.softmax(-1)
        return tuple(
            Choice(
                token_id=token_id,
                piece=self.tokenizer.piece(token_id),
                probability=float(probabilities[token_id]) if token_id < len(probabilities) else 0.0,
            )
            for token_id in token_ids
        )

    def best(self, top: int) -> list[int]:
        """The most probable tokens, best first; of equal ones the lower id, as the engine has it."""
        return self.logits.argsort(descending=True, stable=True)[: min(top, self.allowed)].tolist()


def spelled(bot: LoadedBot, token_ids: Sequence[int]) -> tuple[Token, ...]:
    """Token ids with the vocabulary's spelling."""
    return tuple(Token(token_id=token_id, piece=bot.tokenizer.piece(token_id)) for token_id in token_ids)


def changes(bot: LoadedBot, token_ids: Sequence[int], answer: str) -> tuple[Change, ...]:
    """Which rules made a stored answer out of its tokens."""
    text_ids = [token_id for token_id in token_ids if token_id not in bot.tokenizer.control_ids]
    everything, text = bot.tokenizer.decode_raw(token_ids), bot.tokenizer.decode_raw(text_ids)
    return answer_changes(everything, text, answer, bot.max_answer_chars)


def replay(
    bot: LoadedBot,
    prompt_ids: Sequence[int],
    *,
    stored: Sequence[int] = (),
    max_new_tokens: int,
    top: int,
    sampling: Sampling | None = None,
) -> Replay:
    """Run a prompt and compare each choice with the turn's.

    Args:
        bot: the version that answered.
        prompt_ids: from its ``encode``.
        stored: the turn's tokens, with the end token where the answer had ended; empty for nothing to compare.
        max_new_tokens: bound of the answer; the network's own room is a bound as well.
        top: how many choices to keep of each step.
        sampling: how the turn's tokens were drawn; None is greedy.

    Returns:
        The steps, up to the end token or the bound.
    """
    bound = max(1, min(max_new_tokens, int(bot.network.config.n_positions) - len(prompt_ids)))
    finished, seen = _run(bot, prompt_ids, bound, sampling)
    chosen = [*finished.token_ids, END_ID] if finished.stop_reason == "end" else list(finished.token_ids)
    read = _reader(bot)
    steps = []
    for place, (token_id, logits) in enumerate(zip(chosen, seen, strict=True)):
        scores = read(logits)
        same_so_far = place < len(stored) and list(stored[:place]) == chosen[:place]
        there = scores.choices([stored[place]])[0] if same_so_far else None
        here, *choices = scores.choices([token_id, *scores.best(top)])
        steps.append(Step(number=place + 1, chosen=here, choices=tuple(choices), stored=there))
    return Replay(
        max_new_tokens=bound,
        stop_reason=finished.stop_reason,
        answer=bot.decode(finished.token_ids),
        steps=tuple(steps),
    )


def _run(
    bot: LoadedBot, prompt_ids: Sequence[int], bound: int, sampling: Sampling | None
) -> tuple[Finished, list[Tensor]]:
    """The engine's answer, and the logits of each of its steps, each (vocabulary,) float32."""
    seen: list[Tensor] = []

    def keep(_layer: Any, _inputs: Any, output: Tensor) -> None:
        seen.append(output[0].float())

    engine = TransformersEngine(max_batch=1, max_new_tokens=bound)
    engine.add_request("turn", bot, prompt_ids, sampling=sampling)
    finished: list[Finished] = []
    hook = bot.network.lm_head.register_forward_hook(keep)
    try:
        while engine.in_flight:
            finished += engine.step()
    finally:
        hook.remove()
    return finished[0], seen


def _reader(bot: LoadedBot) -> Callable[[Tensor], _Scores]:
    """Logits as the engine's rule leaves them: control tokens other than the end cannot be chosen."""
    banned = torch.zeros(int(bot.network.config.vocab_size), dtype=torch.bool)
    banned[[token_id for token_id in bot.tokenizer.control_ids if token_id != END_ID]] = True
    allowed = int((~banned).sum())
    return lambda logits: _Scores(logits.masked_fill(banned, -float("inf")), allowed, bot.tokenizer)
