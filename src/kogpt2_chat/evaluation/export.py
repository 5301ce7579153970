"""Write a bot's version with everything that is needed to serve it: the engine's graph and answers to compare with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.artifact.convert import convert
from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.drain import drain
from kogpt2_chat.inference.engine import Finished
from kogpt2_chat.inference.engine_check import PROMPTS, CheckedAnswer, write_check
from kogpt2_chat.network.calibrate import activation_ranges
from kogpt2_chat.network.checkpoint import write_checkpoint
from kogpt2_chat.network.load import LoadedBot


def write_version(
    folder: Path,
    network: GPT2LMHeadModel,
    tokenizer: ChatTokenizer,
    card: ModelCard,
    *,
    sequences: Sequence[Sequence[int]] = (),
    prompts: Sequence[Sequence[int]] = (),
    texts: Mapping[str, str] | None = None,
) -> ModelCard:
    """Write a version next to ``folder`` and rename it there. An existing folder is replaced.

    Args:
        folder: the version's folder.
        network: its weights.
        tokenizer: its tokenizer.
        card: its facts; ``files`` is filled in here.
        sequences: token ids that the network was trained on, to calibrate int8 activations; without any, only the
            weights are int8.
        prompts: token ids of questions that the network has learned. Its fp32 answers to some of them are stored with
            the version, so that every machine can compare its own answers with them.
        texts: content of further text files, by name.

    Returns:
        The card with the hashes of the files.
    """
    network.eval()

    def add_engine(aside: Path) -> None:
        convert(aside, tokenizer.control_ids, activation_ranges(network, sequences) if sequences else None)
        if prompts:
            bot = LoadedBot(
                label="", network=network, tokenizer=tokenizer, card=card, max_prompt_tokens=0, max_answer_chars=0
            )
            write_check(aside, reference_answers(bot, prompts))

    return write_checkpoint(folder, network, tokenizer, card, texts, add_engine)


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
