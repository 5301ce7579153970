"""Generate the answer of a stored turn again and record every choice of a token.

A replay is one request on the reference engine (fp32, control tokens suppressed, the turn's own seed if its tokens were
drawn). A hook on the network's last layer reads the logits that the engine chooses from, so the tokens of the replay
are by construction those of the engine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.domain.learning.explanation import Change, Replay, Step, Token, TokenChoice, answer_changes
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.drain import drain
from kogpt2_chat.inference.engine import Finished, Sampling
from kogpt2_chat.network.load import LoadedBot


@dataclass(frozen=True, slots=True)
class _Scores:
    """The scores of all tokens at one step.

    Attributes:
        logits: (vocabulary,) float32, minus infinity for tokens that may not be chosen.
        allowed: number of tokens that may be chosen.
        tokenizer: for the spelling of tokens.
    """

    logits: Tensor
    allowed: int
    tokenizer: ChatTokenizer

    def choices(self, token_ids: Sequence[int]) -> tuple[TokenChoice, ...]:
        """Return tokens with their probability; 0 for a token that is suppressed or not in the vocabulary."""
        probabilities = self.logits.softmax(-1)
        return tuple(
            TokenChoice(
                token_id=token_id,
                piece=self.tokenizer.piece(token_id),
                probability=float(probabilities[token_id]) if token_id < len(probabilities) else 0.0,
            )
            for token_id in token_ids
        )

    def best(self, top: int) -> list[int]:
        """Return the most probable tokens, best first; among equal ones the lower id first, as in the engine."""
        return self.logits.argsort(descending=True, stable=True)[: min(top, self.allowed)].tolist()


def spelled(bot: LoadedBot, token_ids: Sequence[int]) -> tuple[Token, ...]:
    """Return token ids with their spelling in the vocabulary."""
    return tuple(Token(token_id=token_id, piece=bot.tokenizer.piece(token_id)) for token_id in token_ids)


def changes(bot: LoadedBot, token_ids: Sequence[int], answer: str) -> tuple[Change, ...]:
    """Return the rules that turned the tokens into the stored answer."""
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
    """Generate the answer to a prompt and compare each choice with the turn's.

    Args:
        bot: the version that answered.
        prompt_ids: from its ``encode``.
        stored: the turn's tokens, with the end token if the answer was complete; if empty, nothing is compared.
        max_new_tokens: longest answer; the network's context length limits it as well.
        top: number of choices to record per step.
        sampling: how the turn's tokens were drawn; None is greedy.

    Returns:
        The steps, up to the end token or the limit.
    """
    bound = max(1, min(max_new_tokens, int(bot.network.config.n_positions) - len(prompt_ids)))
    finished, logits_by_step = _run(bot, prompt_ids, bound, sampling)
    tokens = [*finished.token_ids, END_ID] if finished.stop_reason == "end" else list(finished.token_ids)
    score = _scorer(bot)
    steps = []
    for index, (token_id, logits) in enumerate(zip(tokens, logits_by_step, strict=True)):
        scores = score(logits)
        same_so_far = index < len(stored) and list(stored[:index]) == tokens[:index]
        stored_choice = scores.choices([stored[index]])[0] if same_so_far else None
        chosen, *choices = scores.choices([token_id, *scores.best(top)])
        steps.append(Step(number=index + 1, chosen=chosen, choices=tuple(choices), stored=stored_choice))
    return Replay(
        max_new_tokens=bound,
        stop_reason=finished.stop_reason,
        answer=bot.decode(finished.token_ids),
        steps=tuple(steps),
    )


def _run(
    bot: LoadedBot, prompt_ids: Sequence[int], bound: int, sampling: Sampling | None
) -> tuple[Finished, list[Tensor]]:
    """Return the engine's answer and the logits of each step, (vocabulary,) float32."""
    logits_by_step: list[Tensor] = []

    def record(_layer: Any, _inputs: Any, output: Tensor) -> None:
        logits_by_step.append(output[0].float())

    engine = TransformersEngine(max_batch=1, max_new_tokens=bound)
    engine.add_request("turn", bot, prompt_ids, sampling=sampling)
    hook = bot.network.lm_head.register_forward_hook(record)
    try:
        (finished,) = drain(engine)
    finally:
        hook.remove()
    return finished, logits_by_step


def _scorer(bot: LoadedBot) -> Callable[[Tensor], _Scores]:
    """Return a function that suppresses the same tokens as the engine: control tokens other than the end token."""
    suppressed = torch.zeros(int(bot.network.config.vocab_size), dtype=torch.bool)
    suppressed[[token_id for token_id in bot.tokenizer.control_ids if token_id != END_ID]] = True
    allowed = int((~suppressed).sum())
    return lambda logits: _Scores(logits.masked_fill(suppressed, -float("inf")), allowed, bot.tokenizer)
