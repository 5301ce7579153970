"""Generate the fp32 answers that are stored with a version, to some of its training prompts."""

from collections.abc import Sequence
from typing import Final

from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.drain import drain
from kogpt2_chat.inference.engine import Finished
from kogpt2_chat.inference.engine_check import PROMPTS, CheckedAnswer
from kogpt2_chat.network.load import LoadedBot

_MAX_NEW_TOKENS: Final = 32


def reference_answers(bot: LoadedBot, prompts: Sequence[Sequence[int]]) -> list[CheckedAnswer]:
    """Generate greedy answers on the reference engine.

    Args:
        bot: its network is in fp32 and in evaluation mode.
        prompts: token ids. Of the distinct prompts, ``PROMPTS`` are used, evenly spaced; all if there are fewer.

    Returns:
        One answer per prompt used.
    """
    distinct = list(dict.fromkeys(tuple(prompt) for prompt in prompts))
    count = min(PROMPTS, len(distinct))
    chosen = [distinct[number * len(distinct) // count] for number in range(count)]
    if not chosen:
        return []
    max_tokens = int(bot.network.config.n_positions) - max(map(len, chosen))
    engine = TransformersEngine(max_batch=PROMPTS, max_new_tokens=min(_MAX_NEW_TOKENS, max_tokens))
    for index, prompt in enumerate(chosen):
        engine.add_request(str(index), bot, prompt)
    tokens_by_index = {int(done.request_id): _tokens(done) for done in drain(engine)}
    return [CheckedAnswer(prompt=prompt, tokens=tokens_by_index[index]) for index, prompt in enumerate(chosen)]


def _tokens(done: Finished) -> tuple[int, ...]:
    return (*done.token_ids, END_ID) if done.stop_reason == "end" else done.token_ids
