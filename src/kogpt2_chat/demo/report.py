"""What the demo shows at its end, for the terminal, for a file and for a machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import monotonic

from kogpt2_chat.client.ask import Reply
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.errors import KogptChatError
from kogpt2_chat.terminal_page import TerminalPage


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One model version and what the gate said of it."""

    bot: str
    version: int
    gate: str
    champion: bool
    reasons: str


@dataclass(slots=True)
class Report:
    """Everything worth looking at after a demo.

    Attributes:
        seconds_by_step: wall clock of each step, in order.
        before: answers of the version that spoke before retraining.
        after: answers to the same questions afterwards, in the same order.
        taught: the right answers by (bot, question).
        trials: versions with their gate's decision.
        urls: where to look on.
        notes: what the reader has to know to judge the figures.
        offer: what to try next, said last.
        speechless: bots of which no version passed the gate.
    """

    seconds_by_step: dict[str, float] = field(default_factory=dict)
    before: list[Reply] = field(default_factory=list)
    after: list[Reply] = field(default_factory=list)
    taught: dict[tuple[str, str], str] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    offer: list[str] = field(default_factory=list)
    speechless: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        started = monotonic()
        try:
            yield
        except KogptChatError as error:
            error.add_note(f"This was the demo's step {name!r}.")
            raise
        self.seconds_by_step[name] = round(monotonic() - started, 1)

    @property
    def lessons(self) -> list[tuple[Reply, Reply, str]]:
        """Taught questions: before, after, and what was taught."""
        return [
            (old, new, self.taught[old.bot, old.question])
            for old, new in zip(self.before, self.after, strict=True)
            if (old.bot, old.question) in self.taught
        ]

    @property
    def learned(self) -> int:
        """How many taught questions are now answered word for word as taught."""
        return sum(new.answer == right for _, new, right in self.lessons)

    def as_json(self) -> dict[str, object]:
        """Plain values."""
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
        """Tables for a terminal."""
        page = TerminalPage(width=140)
        page.table(
            f"What was taught: {self.learned} of {len(self.lessons)} learned word for word",
            ("bot", "question", "before", "after", "versions"),
            (_lesson_row(old, new, right) for old, new, right in self.lessons),
        )
        page.table(
            "Versions and the gate",
            ("bot", "version", "gate", "champion", "reasons"),
            ((one.bot, one.version, one.gate, "yes" if one.champion else "", one.reasons) for one in self.trials),
        )
        page.table(
            f"Time: {sum(self.seconds_by_step.values()):.0f} s in all",
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
        """Markdown of the first answers to seed questions, for a reader who judges the Korean."""
        seeds = [reply for reply in self.before if (reply.bot, reply.question) not in self.taught]
        rows = [
            f"| {reply.bot} | {reply.version} | {_cell(reply.question)} | {_cell(reply.answer)} |" for reply in seeds
        ]
        return "\n".join(["| bot | version | question | answer |", "|---|---|---|---|", *rows])


def _lesson_row(old: Reply, new: Reply, right: str) -> tuple[str, ...]:
    mark = "✓ " if new.answer == right else ""
    return old.bot, old.question, old.answer, mark + new.answer, f"{old.version} → {new.version}"


def _cell(text: str) -> str:
    """A text within a table in Markdown."""
    return one_line(text).replace("|", "\\|")
