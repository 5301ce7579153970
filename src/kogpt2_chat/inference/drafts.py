"""Guess the next tokens of an answer from the answers that a version has learned (speculative decoding).

A pass over several positions of one sequence costs little more than a pass over one, because it reads the weights once.
So the engine computes the guessed tokens together with the next one, and keeps those that the model chooses itself. The
answer is the same as without guesses; only the number of passes is smaller (He et al. 2023, REST).

A guess has a confidence: how often the learned answers continue in this way, times how often this model's guesses
were right lately.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

Tokens = Sequence[int]
_START: Final = -1
"""Stands before the first token of an answer, so that a context can say where the answer begins."""
_LONGEST_CONTEXT, _SHORTEST_CONTEXT = 3, 2
_FIRST_RATE: Final = 0.8
_KEPT: Final = 0.95
"""Weight of what was known when a further guess was right or wrong."""
_DOUBT: Final = 0.5
"""Added to the count of other continuations, because few answers are a weak proof."""


@dataclass(slots=True)
class Draft:
    """Guessed tokens of one answer.

    Attributes:
        tokens: in their order.
        from_question: the whole answer of a learned question was guessed.
    """

    tokens: list[int] = field(default_factory=list)
    from_question: bool = False


class Drafts:
    """The answers that a version has learned, as continuations.

    Args:
        examples: prompt ids of each learned question and ids of its answer with the end token; of several answers of a
            question the last counts.
    """

    def __init__(self, examples: Iterable[tuple[Tokens, Tokens]]) -> None:
        self._answer_by_prompt: dict[tuple[int, ...], tuple[int, ...]] = {}
        counts: dict[tuple[int, ...], Counter[int]] = {}
        for prompt, answer in examples:
            self._answer_by_prompt[tuple(prompt)] = tuple(answer)
            marked = (_START, *answer)
            for place in range(1, len(marked)):
                for length in range(1, _LONGEST_CONTEXT + 1):
                    context = marked[max(0, place - length) : place]
                    if length > place or (length < _SHORTEST_CONTEXT and context[0] != _START):
                        continue
                    counts.setdefault(context, Counter())[marked[place]] += 1
        self._next_by_context: dict[tuple[int, ...], tuple[int, float]] = {}
        for context, counter in counts.items():
            token, count = counter.most_common(1)[0]
            self._next_by_context[context] = token, count / (counter.total() + _DOUBT)
        self._rate_by_kind = {True: _FIRST_RATE, False: _FIRST_RATE}

    def guess(self, prompt: Tokens, answer: Tokens, most: int, least_confidence: float) -> Draft:
        """Return the guessed continuation of an answer.

        Args:
            prompt: ids of the question's prompt.
            answer: tokens so far.
            most: most tokens to guess.
            least_confidence: stop before the first token whose confidence is lower, 0 to 1.

        Returns:
            The guess; maybe empty.
        """
        learned = self._answer_by_prompt.get(tuple(prompt))
        if learned and learned[: len(answer)] == tuple(answer):
            draft = Draft(from_question=True)
            confidence = 1.0
            for token in learned[len(answer) : len(answer) + most]:
                confidence *= self._rate_by_kind[True]
                if confidence < least_confidence:
                    break
                draft.tokens.append(token)
            return draft
        return self._from_context(answer, most, least_confidence)

    def _from_context(self, answer: Tokens, most: int, least_confidence: float) -> Draft:
        if self._rate_by_kind[False] < least_confidence:  # no context is so sure: do not look for one
            return Draft()
        draft, recent, confidence = Draft(), [_START, *answer][-_LONGEST_CONTEXT:], 1.0
        while len(draft.tokens) < most:
            found = next(
                (
                    self._next_by_context[context]
                    for length in range(min(len(recent), _LONGEST_CONTEXT), 0, -1)
                    if (context := tuple(recent[-length:])) in self._next_by_context
                ),
                None,
            )
            if found is None:
                break
            confidence *= found[1] * self._rate_by_kind[False]
            if confidence < least_confidence:
                break
            draft.tokens.append(found[0])
            recent.append(found[0])
        return draft

    def learn(self, draft: Draft, right: int) -> None:
        """Note how many tokens of a guess were what the model chose."""
        kind = draft.from_question
        for was_right in [True] * right + [False] * (right < len(draft.tokens)):
            self._rate_by_kind[kind] = _KEPT * self._rate_by_kind[kind] + (1 - _KEPT) * was_right
