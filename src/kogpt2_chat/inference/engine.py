"""The interface of decoding, as the worker uses it: requests go in, finished token ids come out, step by step.

It does not depend on Kafka. It imports no model library, so that the worker's tests need none. An engine is not
thread safe: one thread owns it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from kogpt2_chat.inference.drafts import Drafts
    from kogpt2_chat.inference.uncertain import Uncertainty

StopReason = Literal["end", "length", "deadline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A request that is finished.

    Attributes:
        request_id: as passed to ``add_request``.
        token_ids: the answer's tokens, without the end token; possibly none.
        stop_reason: ``end`` (the model ended its answer), ``length`` (the limit on new tokens) or ``deadline`` (the
            deadline has passed; the tokens are those generated so far).
        logprob: mean log-probability of the chosen tokens including the end token, in nats per token; 0 for none. It
            shows how sure the model is: near 0 for an answer that it has memorised.
        decode_s: seconds from the beginning of its first step to its end; None if the deadline passed before that.
    """

    request_id: str
    token_ids: tuple[int, ...]
    stop_reason: StopReason
    logprob: float = 0.0
    decode_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw tokens instead of choosing the likeliest; the same seed draws the same answer.

    Attributes:
        temperature: above 0; lower is closer to greedy.
        top_k: number of the likeliest tokens to draw from.
        seed: of this request; other sequences in the batch do not affect the draw.
    """

    temperature: float
    top_k: int
    seed: int


class BotModel(Protocol):
    """A loaded version of a bot; see :class:`kogpt2_chat.inference.bot.LoadedModel`."""

    @property
    def label(self) -> str:
        """The version's number or its folder's name, to recognise the model by."""
        ...

    @property
    def small(self) -> bool:
        """Whether the version was trained from the small base."""
        ...

    @property
    def uncertainty(self) -> "Uncertainty | None":
        """Thresholds and pairs for replacing an unlikely answer; None: its own answer is always used."""
        ...

    @property
    def drafts(self) -> "Drafts | None":
        """What it has learned, to guess its next tokens; None: nothing is guessed."""
        ...

    @property
    def free_rows(self) -> float:
        """How many rows cost as much as a pass costs without rows, on this machine; 0 if that was not measured."""
        ...

    @property
    def network(self) -> Any:
        """The weights; only an engine uses them."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the prompt ids of a question: normalised, truncated, ready for ``add_request``."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the answer text of generated ids: without control tokens and characters, truncated; maybe empty."""
        ...


class Engine(Protocol):
    """Decodes the requests of any number of models side by side."""

    @property
    def in_flight(self) -> int:
        """Number of requests that are neither finished nor cancelled."""
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
            model: decodes this request to its end, even if later requests of the same bot use another model.
            prompt_ids: from that model's `encode`.
            deadline_s: seconds from now after which the request finishes with the tokens generated so far.
            sampling: how to choose tokens; None is greedy.

        Raises:
            ValueError: the id is in flight.
        """
        ...

    def cancel(self, request_id: str) -> None:
        """Drop a request. Do nothing if it is not in flight."""
        ...

    def step(self) -> list[Finished]:
        """Advance the requests of at least one model by one token.

        Returns:
            The requests that finished.
        """
        ...
