"""Answers measured in the tokens of the model that will learn them, in Spark's own Python processes."""

from functools import lru_cache

from kogpt2_chat.artifact.tokenizer import ChatTokenizer, read_tokenizer


class AnswerTokens:
    """Finds answers that a model could not learn whole. Travels to Spark's processes as text.

    Args:
        tokenizer: content of a ``tokenizer.json``.
        max_tokens: bound of an answer and its end.
    """

    def __init__(self, tokenizer: str, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    def fault(self, answer: str) -> str | None:
        """Why an answer could not be learned; None for a good one."""
        return _read(self._tokenizer).answer_fault(answer, self._max_tokens)


@lru_cache(maxsize=1)
def _read(tokenizer: str) -> ChatTokenizer:
    return read_tokenizer(tokenizer)
