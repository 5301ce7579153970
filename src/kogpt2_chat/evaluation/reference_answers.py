"""What a version's weights say in fp32 to some of the prompts that they were trained on."""

from collections.abc import Sequence
from typing import Final

from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.engine_check import PROMPTS, CheckedAnswer
from kogpt2_chat.network.load import LoadedBot

_MOST_NEW_TOKENS: Final = 32


def reference_answers(bot: LoadedBot, prompts: Sequence[Sequence[int]]) -> list[CheckedAnswer]:
    """Greedy answers on the reference engine.

    Args:
        bot: its network in fp32 and evaluation mode.
        prompts: token ids; so many as a version carries along are taken, spread evenly over the different ones.

    Returns:
        One a prompt taken.
    """
    distinct = list(dict.fromkeys(tuple(prompt) for prompt in prompts))
    count = min(PROMPTS, len(distinct))
    taken = [distinct[place * len(distinct) // count] for place in range(count)]
    if not taken:
        return []
    room = int(bot.network.config.n_positions) - max(map(len, taken))
    engine = TransformersEngine(max_batch=PROMPTS, max_new_tokens=min(_MOST_NEW_TOKENS, room))
    for place, prompt in enumerate(taken):
        engine.add_request(str(place), bot, prompt)
    said: dict[int, tuple[int, ...]] = {}
    while engine.in_flight:
        for done in engine.step():
            end = (END_ID,) if done.stop_reason == "end" else ()
            said[int(done.request_id)] = (*done.token_ids, *end)
    return [CheckedAnswer(prompt=prompt, tokens=said[place]) for place, prompt in enumerate(taken)]
