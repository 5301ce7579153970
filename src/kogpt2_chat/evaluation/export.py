"""Write a bot's version with everything that is needed to serve it: the engine's graph and answers to compare with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.artifact.convert import convert
from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.evaluation.reference_answers import reference_answers
from kogpt2_chat.inference.engine_check import write_check
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
        The card with its hashes.
    """
    network.eval()

    def add_engine(aside: Path) -> None:
        convert(aside, tokenizer.control_ids, activation_ranges(network, sequences) if sequences else None)
        if prompts:
            bot = LoadedBot(
                version="", network=network, tokenizer=tokenizer, card=card, max_prompt_tokens=0, max_answer_chars=0
            )
            write_check(aside, reference_answers(bot, prompts))

    return write_checkpoint(folder, network, tokenizer, card, texts, add_engine)
