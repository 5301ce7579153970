"""The project's engine in one form, with one bot: ``python -m benchmarks.peers.subjects.ours``, in its own environment.

It is the loop that the worker runs, without Kafka and text. Only two things differ: no answer ends early, and each
request has a limit of its own, so that all subjects generate equally many tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.loads import END_ID, LONGEST, MAX_BATCH, Engine, Request
from benchmarks.peers.measure import arguments, run
from kogpt2_chat.artifact.card import ENGINE_FILES
from kogpt2_chat.artifact.forms import Form
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.inference.engine import StopReason
from kogpt2_chat.inference.loading import load_form
from kogpt2_chat.inference.paged_engine import PagedEngine
from kogpt2_chat.inference.pages import PageTable
from kogpt2_chat.settings import Settings, load_settings


class NeverEnding:
    """A network whose answers never end by themselves."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def forward(self, sequences: Sequence[Any], **how: Any) -> tuple[Any, Any]:
        """Compute as the network does; the end token is the least likely one."""
        logits, normalisers = self._network.forward(sequences, **how)
        logits[:, END_ID] = -float("inf")
        return logits, normalisers


@dataclass
class Bot:
    """As much of a loaded version as an engine uses."""

    network: NeverEnding
    label: str = "1"
    small: bool = False
    uncertainty: None = None
    drafts: None = None


@dataclass
class _Limits:
    by_id: dict[str, int] = field(default_factory=dict)


class OwnLimits(PagedEngine):
    """The engine, with a limit on new tokens for each request."""

    def __init__(self, limits: _Limits, cores: int) -> None:
        super().__init__(max_batch=MAX_BATCH, max_new_tokens=LONGEST, cores=cores)
        self._limits = limits

    def _stop_reason(self, sequence: Any, now: float) -> StopReason | None:
        if len(sequence.tokens) >= self._limits.by_id[sequence.request_id]:
            return "length"
        return super()._stop_reason(sequence, now)


class Greedy:
    """The network's likeliest tokens, to compare with the peers': the engine itself avoids loops, and they do not."""

    def __init__(self, network: NeverEnding) -> None:
        self._network = network
        self._running: list[tuple[Request, PageTable, list[int]]] = []

    def add(self, request: Request) -> None:
        """Queue a request."""
        self._running.append((request, PageTable(), []))

    def step(self) -> list[tuple[int, list[int]]]:
        """Add one token to each answer."""
        logits, _ = self._network.forward(
            [(table, tokens[-1:] or list(request.prompt)) for request, table, tokens in self._running]
        )
        for (_, _, tokens), token in zip(self._running, logits.argmax(-1).tolist(), strict=True):
            tokens.append(token)
        done = [row for row in self._running if len(row[2]) == row[0].new_tokens]
        self._running = [row for row in self._running if len(row[2]) < row[0].new_tokens]
        for _, table, _ in done:
            self._network.release(table)
        return [(request.number, tokens) for request, _, tokens in done]


class Ours:
    """A :class:`benchmarks.peers.loads.Engine` on the project's engine.

    Args:
        network: a version in one form.
        cores: most batches that run concurrently; 0: all cores.
    """

    def __init__(self, network: NeverEnding, cores: int) -> None:
        self._bot = Bot(network=network)
        self._limits = _Limits()
        self._engine = OwnLimits(self._limits, cores)

    def add(self, request: Request) -> None:
        """Queue a request."""
        self._limits.by_id[str(request.number)] = request.new_tokens
        self._engine.add_request(str(request.number), self._bot, request.prompt)  # type: ignore[arg-type]

    def step(self) -> list[tuple[int, list[int]]]:
        """Run one step of the engine."""
        return [(int(done.request_id), list(done.token_ids)) for done in self._engine.step()]


def engine(version: Path, form: Form, settings: Settings, *, check: bool) -> Engine:
    """Return the engine under test.

    Args:
        version: a version's folder.
        form: one of its forms.
        settings: threads.
        check: whether its answers are compared with the peers' answers.
    """
    serving = settings.serving.model_copy(update={"max_batch": MAX_BATCH})
    settings = settings.model_copy(update={"serving": serving})
    network = NeverEnding(load_form(version, version / ENGINE_FILES[0], load_tokenizer(version), form, settings))
    return Greedy(network) if check else Ours(network, serving.threads)


if __name__ == "__main__":
    options = arguments("form")
    run(options, lambda: engine(Path(options.model), options.form, load_settings(), check=options.part == ["check"]))
