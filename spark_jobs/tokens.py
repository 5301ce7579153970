"""Check the length of answers in tokens of the base model, inside Spark's Python processes."""

from functools import lru_cache

from kogpt2_chat.artifact.tokenizer import ChatTokenizer, read_tokenizer


class AnswerTokens:
    """Finds answers that are too long for a model. The tokenizer is sent to Spark's processes as text.

    Args:
        tokenizer: content of a ``tokenizer.json``.
        max_tokens: maximum number of tokens in an answer, including the end token.
    """

    def __init__(self, tokenizer: str, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    def fault(self, answer: str) -> str | None:
        """Return why an answer cannot be learned; None if it can."""
        return _read(self._tokenizer).answer_fault(answer, self._max_tokens)


@lru_cache(maxsize=1)
def _read(tokenizer: str) -> ChatTokenizer:
    return read_tokenizer(tokenizer)
