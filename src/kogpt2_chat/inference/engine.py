"""What the worker knows of decoding: requests go in, finished token ids come out, step by step.

Knows nothing of Kafka, and imports no model library, so that the worker's tests need none. The engine is
not thread safe: one thread owns it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from kogpt2_chat.inference.uncertain import Uncertainty

StopReason = Literal["end", "length", "deadline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One request that will get no further token.

    Attributes:
        request_id: as given to ``add_request``.
        token_ids: the answer's tokens, without the end token; possibly none.
        stop_reason: ``end`` (the model ended its answer), ``length`` (the bound on new tokens) or
            ``deadline`` (its time was up; the tokens are what there was).
        logprob: mean log-probability of the chosen tokens, the end token among them, in nat a token; 0 for none. How
            sure the model was: near 0 for what it knows by heart.
    """

    request_id: str
    token_ids: tuple[int, ...]
    stop_reason: StopReason
    logprob: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw a token instead of taking the likeliest; the same seed draws the same answer.

    Attributes:
        temperature: above 0; lower is closer to greedy.
        top_k: only so many likeliest tokens may be drawn.
        seed: of this request; neighbours in the batch have no part in it.
    """

    temperature: float
    top_k: int
    seed: int


class BotModel(Protocol):
    """A bot's loaded model version, as :func:`kogpt2_chat.network.load.load_bot` gives it."""

    @property
    def version(self) -> str:
        """Which version this is, as text."""
        ...

    @property
    def small(self) -> bool:
        """Whether it comes from the small base."""
        ...

    @property
    def uncertainty(self) -> "Uncertainty | None":
        """What is said where its own answer is unlikely; None says its own answer all the same."""
        ...

    @property
    def network(self) -> Any:
        """The weights; only an engine looks at them."""
        ...

    def encode(self, text: str) -> list[int]:
        """Prompt ids of a question: normalised, bounded, ready for ``add_request``."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Plain answer text of generated ids: no control token or character, bounded; possibly empty."""
        ...


class Engine(Protocol):
    """Decodes the requests of any number of models side by side."""

    @property
    def in_flight(self) -> int:
        """Requests that are added and neither finished nor cancelled."""
        ...

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
            request_id: unique among those in flight.
            model: decodes this request to its end, whichever model later requests of the same bot bring.
            prompt_ids: from that model's `encode`.
            deadline_s: seconds from now after which the request finishes with the tokens that it has.
            sampling: how to choose tokens; None is greedy.

        Raises:
            ValueError: the id is in flight.
        """
        ...

    def cancel(self, request_id: str) -> None:
        """Forget a request. Does nothing if it is not in flight."""
        ...

    def step(self) -> list[Finished]:
        """Advance requests by one token.

        Returns:
            Those that finished.
        """
        ...
