"""A scripted engine and model for tests of the worker: no weights, and answers that the test chooses."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kogpt2_chat.domain.chat.prompt import answer_text, prompt_ids
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.inference.engine import BotModel, Finished, Sampling, StopReason
from kogpt2_chat.inference.uncertain import Uncertainty

_FIRST_TEXT_ID = 200


class ScriptedModel:
    """A model with fixed answers; it repeats a question for which it has no answer.

    Args:
        label: the name that the model reports.
        answers: answer by normalised question, or a function of the question.
        uncertainty: the thresholds and known pairs of the version; None if it has none.
    """

    network: Any = None
    small = True

    def __init__(
        self,
        label: str = "1",
        answers: Mapping[str, str] | Callable[[str], str] | None = None,
        uncertainty: Uncertainty | None = None,
    ) -> None:
        self.label = label
        self.uncertainty = uncertainty
        self._answers = answers

    def encode(self, text: str) -> list[int]:
        """Return the text's code points as token ids, shifted past the ids of control tokens."""
        return prompt_ids([ord(character) + _FIRST_TEXT_ID for character in one_line(text)], 512)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of shifted code points."""
        return answer_text("".join(chr(id_ - _FIRST_TEXT_ID) for id_ in token_ids if id_ >= _FIRST_TEXT_ID))

    def answer_ids(self, question_ids: Sequence[int]) -> tuple[int, ...]:
        """Return the token ids of this model's answer to a prompt."""
        question = self.decode(question_ids)
        answer = self._answers(question) if callable(self._answers) else (self._answers or {}).get(question, question)
        return tuple(ord(character) + _FIRST_TEXT_ID for character in answer)


class ScriptedEngine:
    """An engine that returns each request's whole answer after a number of steps.

    Args:
        steps: how many ``step`` calls a request takes.
        stop_reason: the stop reason of every request that is not late.

    Attributes:
        steps_by_id: a different number of steps for some request ids.
        sampled: the sampling settings of each request that has any, by request id.
        logprob: the mean log-probability that every answer reports.
        decode_s: how long the decoding of every answer took.
    """

    def __init__(self, steps: int = 1, stop_reason: StopReason = "end") -> None:
        self.steps = steps
        self.steps_by_id: dict[str, int] = {}
        self.sampled: dict[str, Sampling] = {}
        self.stop_reason: StopReason = stop_reason
        self.logprob = 0.0
        self.decode_s = 0.0
        self._left: dict[str, int] = {}
        self._answers: dict[str, tuple[int, ...]] = {}

    @property
    def in_flight(self) -> int:
        """The number of requests that are not finished."""
        return len(self._left)

    def add_request(
        self,
        request_id: str,
        model: BotModel,
        prompt_ids: Sequence[int],
        *,
        deadline_s: float | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Queue a request.

        Args:
            request_id: an id that no request in flight has.
            model: the model that answers.
            prompt_ids: token ids from that model's ``encode``.
            deadline_s: if it is 0 or less, the request finishes at the next step without an answer; otherwise ignored.
            sampling: stored in ``sampled`` for the test to inspect.

        Raises:
            ValueError: a request with this id is in flight.
        """
        if request_id in self._left:
            raise ValueError(f"request {request_id!r} is already in flight")
        late = deadline_s is not None and deadline_s <= 0
        answer = model.answer_ids(prompt_ids) if isinstance(model, ScriptedModel) else ()
        self._left[request_id] = 0 if late else self.steps_by_id.get(request_id, self.steps)
        self._answers[request_id] = () if late else answer
        if sampling is not None:
            self.sampled[request_id] = sampling

    def cancel(self, request_id: str) -> None:
        """Drop a request. Do nothing if it is not in flight."""
        self._left.pop(request_id, None)
        self._answers.pop(request_id, None)

    def step(self) -> list[Finished]:
        """Count down the steps of every request; return the requests that have none left."""
        finished = []
        for request_id in list(self._left):
            late = self._left[request_id] == 0
            self._left[request_id] -= 1
            if self._left[request_id] <= 0:
                del self._left[request_id]
                reason: StopReason = "deadline" if late else self.stop_reason
                finished.append(
                    Finished(
                        request_id=request_id,
                        token_ids=self._answers.pop(request_id),
                        stop_reason=reason,
                        logprob=self.logprob,
                        decode_s=None if late else self.decode_s,
                    )
                )
        return finished
