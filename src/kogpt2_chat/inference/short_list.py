"""The tokens that a version may answer with, if a setting limits them: a vocabulary short list (Marian).

A third of the weights of KoGPT2 turn a position into the logits of 51,200 tokens, of which a bot uses a few thousand.
The list has the tokens of the learned answers, and the first entries of the vocabulary, which are its most frequent.
Whether it costs answers is for the agreement with fp32 to judge, which computes all tokens.
"""

from pathlib import Path

from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.inference.uncertain import read_uncertainty


def short_list(folder: Path, tokenizer: ChatTokenizer, frequent: int, max_answer_tokens: int) -> list[int]:
    """Return the short list of a version.

    Args:
        folder: the version's files.
        tokenizer: of the version.
        frequent: how many of the first entries are in the list.
        max_answer_tokens: longest answer, including the end token.

    Returns:
        Token ids, ascending, without suppressed ones; empty if the folder does not have the learned answers.
    """
    uncertainty = read_uncertainty(folder)
    if uncertainty is None:
        return []
    listed = {END_ID, *range(min(frequent, tokenizer.size))}
    for pair in uncertainty.known.known:
        listed.update(tokenizer.encode_answer(pair.answer, max_answer_tokens))
    return sorted(listed - (set(tokenizer.control_ids) - {END_ID}))
