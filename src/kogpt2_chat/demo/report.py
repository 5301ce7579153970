"""The demo's final report as text, JSON and Markdown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import monotonic

from kogpt2_chat.client.ask import ReceivedAnswer
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.errors import KogptChatError
from kogpt2_chat.terminal_page import TerminalPage


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedVersion:
    """One model version and the gate's decision on it."""

    bot: str
    version: int
    gate: str
    champion: bool
    reasons: str


@dataclass(slots=True)
class DemoReport:
    """The results of a demo.

    Attributes:
        seconds_by_step: wall-clock seconds of each step, in order.
        before: answers before the retraining.
        after: answers to the same questions after the retraining, in the same order.
        taught: the taught answers by (bot, question).
        trials: versions with the gate's decisions.
        urls: URLs of the servers' pages by name.
        notes: facts for the interpretation of the results.
        offer: suggestion for a next run, printed last.
        speechless: bots without a version that passed the gate.
    """

    seconds_by_step: dict[str, float] = field(default_factory=dict)
    before: list[ReceivedAnswer] = field(default_factory=list)
    after: list[ReceivedAnswer] = field(default_factory=list)
    taught: dict[tuple[str, str], str] = field(default_factory=dict)
    trials: list[JudgedVersion] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    offer: list[str] = field(default_factory=list)
    speechless: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the time of one step, and add the step's name to its errors."""
        started = monotonic()
        try:
            yield
        except KogptChatError as error:
            error.add_note(f"This happened in the demo's step {name!r}.")
            raise
        self.seconds_by_step[name] = round(monotonic() - started, 1)

    @property
    def lessons(self) -> list[tuple[ReceivedAnswer, ReceivedAnswer, str]]:
        """Taught questions: the reply before, the reply after, and the taught answer."""
        return [
            (old, new, self.taught[old.bot, old.question])
            for old, new in zip(self.before, self.after, strict=True)
            if (old.bot, old.question) in self.taught
        ]

    @property
    def learned(self) -> int:
        """Number of taught questions whose new answer is exactly the taught one."""
        return sum(new.answer == right for _, new, right in self.lessons)

    def as_json(self) -> dict[str, object]:
        """Return the report as JSON-compatible values."""
        return {
            "seconds_by_step": self.seconds_by_step,
            "before": [reply.as_json() for reply in self.before],
            "after": [reply.as_json() for reply in self.after],
            "learned": self.learned,
            "taught": len(self.lessons),
            "versions": [asdict(trial) for trial in self.trials],
            "urls": self.urls,
            "notes": self.notes,
            "offer": self.offer,
            "speechless": self.speechless,
        }

    def text(self) -> str:
        """Format the report as tables for a terminal."""
        page = TerminalPage(width=140)
        page.table(
            f"Taught questions: {self.learned} of {len(self.lessons)} learned word for word",
            ("bot", "question", "before", "after", "versions"),
            (_lesson_row(old, new, right) for old, new, right in self.lessons),
        )
        page.table(
            "Versions and the gate",
            ("bot", "version", "gate", "champion", "reasons"),
            ((one.bot, one.version, one.gate, "yes" if one.champion else "", one.reasons) for one in self.trials),
        )
        page.table(
            f"Time: {sum(self.seconds_by_step.values()):.0f} s in total",
            ("step", "seconds"),
            ((name, f"{seconds:.1f}") for name, seconds in self.seconds_by_step.items()),
            numbers=("seconds",),
        )
        for line in (*(f"- {note}" for note in self.notes), *(f"{name}: {url}" for name, url in self.urls.items())):
            page.line(line)
        for line in ["", *self.offer] if self.offer else []:
            page.line(line)
        return page.text()

    def samples(self) -> str:
        """Return a Markdown table of the first answers to seed questions, for a review of their Korean."""
        seeds = [reply for reply in self.before if (reply.bot, reply.question) not in self.taught]
        rows = [
            f"| {reply.bot} | {reply.version} | {_cell(reply.question)} | {_cell(reply.answer)} |" for reply in seeds
        ]
        return "\n".join(["| bot | version | question | answer |", "|---|---|---|---|", *rows])


def _lesson_row(old: ReceivedAnswer, new: ReceivedAnswer, right: str) -> tuple[str, ...]:
    mark = "✓ " if new.answer == right else ""
    return old.bot, old.question, old.answer, mark + new.answer, f"{old.version} → {new.version}"


def _cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    return one_line(text).replace("|", "\\|")
