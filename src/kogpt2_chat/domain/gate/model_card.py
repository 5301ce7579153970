"""Write the model card of a version as Markdown, for the registry's description. Pure; every text becomes plain text.

It has the most important facts first, and always fits into the description: what does not fit is left out from the
least important section on, and the card says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.domain.gate.block import Comparison, Reason
from kogpt2_chat.domain.gate.decision import Decision
from kogpt2_chat.domain.lake.search_masking import mask_names
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.domain.text.markdown import as_markdown

MOST_CHARS: Final = 5000
"""The length of the registry's column."""
_LEFT_OUT: Final = "\n*More did not fit here: see the decision and the run.*\n"
_FAULT_RULES: Final = ("few_", "no_leaks")
_MOST_MISSED: Final = 5
_MOST_COUNTS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleAnswer:
    """A gold question with the own answers of both models.

    Attributes:
        expected: the gold answer.
        baseline: None if the baseline is a base, whose answers mean nothing.
    """

    question: str
    expected: str
    answer: str
    baseline: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the gate found out about a version.

    Attributes:
        comparisons: what was measured on the baseline too.
        missed: must-pass questions that the version's own answers miss.
    """

    decision: Decision
    comparisons: Sequence[Comparison] = ()
    samples: Sequence[SampleAnswer] = ()
    missed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a model card is written from.

    Attributes:
        tags: the version's tags, which name its base, licence, dataset, parent and code.
        manifest: of its dataset; None if there is none that can be read.
        run_page: the page of its run, relative to the registry's address; empty if unknown.
        parent_page: the same for the version that training started from.
        judged: None before the gate has decided.
    """

    bot: str
    version: int
    tags: Mapping[str, str]
    manifest: Manifest | None
    run_page: str = ""
    parent_page: str = ""
    judged: Judged | None = None


@dataclass(slots=True)
class _Section:
    """Lines that are always there, and lines of which the last ones may be left out.

    Attributes:
        needs_content: whether the fixed lines are only a heading for the others.
    """

    fixed: list[str]
    droppable: list[str] = field(default_factory=list)
    needs_content: bool = False

    @property
    def lines(self) -> list[str]:
        return [] if self.needs_content and not self.droppable else [*self.fixed, *self.droppable]


def model_card(facts: CardFacts) -> str:
    """Return the model card, at most :data:`MOST_CHARS` long."""
    judged = facts.judged
    head, data, links = _head(facts), _data(facts), _Section(list(_links(facts)))
    gate = _gate(judged) if judged else _Section(["", "## Gate", "", "Not evaluated yet."])
    samples = _samples(judged) if judged else _Section([])
    weak = _weaknesses(judged) if judged else _Section([])
    sections, first_dropped = (head, data, gate, samples, weak, links), (samples, gate, weak, data, head)
    text, note = _joined(sections), ""
    while len(text) + len(note) > MOST_CHARS:
        longest = next((section for section in first_dropped if section.droppable), None)
        if longest is None:
            return text[:MOST_CHARS]
        longest.droppable.pop()
        text, note = _joined(sections), _LEFT_OUT
    return text + note


def _joined(sections: Sequence[_Section]) -> str:
    return "\n".join(line for section in sections for line in section.lines) + "\n"


def _head(facts: CardFacts) -> _Section:
    bot, judged = BOT_BY_ID.get(facts.bot), facts.judged
    name = f"{as_markdown(bot.name)} ({as_markdown(facts.bot)})" if bot else as_markdown(facts.bot)
    lines = [f"# {name}, version {facts.version}", ""]
    if bot:
        lines += [f"A KoGPT2 chatbot of a virtual world: {as_markdown(bot.persona)}.", ""]
    if judged is None:
        return _Section([*lines, "**Not evaluated yet.**"])
    decision = judged.decision
    profile, baseline = _short(decision.profile.name), _short(decision.baseline)
    verdict = "Passed" if decision.passed else "Refused"
    lines += [f"**{verdict}** by the gate, profile {profile}, compared with {baseline}.", ""]
    named_by_label: dict[str, list[str]] = {"Better": [], "Worse": [], "Equal": []}
    for one in judged.comparisons:
        gain = round(one.gain, 3)
        named_by_label["Better" if gain > 0 else "Worse" if gain < 0 else "Equal"].append(_compared(one))
    return _Section(lines, [f"- {label}: {', '.join(named)}" for label, named in named_by_label.items() if named])


def _compared(one: Comparison) -> str:
    return f"{as_markdown(one.what)} {_number(one.value)} (baseline {_number(one.baseline)})"


def _data(facts: CardFacts) -> _Section:
    tags, manifest = facts.tags, facts.manifest
    dataset, parent = tags.get("dataset", ""), tags.get("parent", "")
    lines = ["", "## Data", ""]
    if manifest is None:
        lines.append(f"- Dataset {_short(dataset or 'unknown')}: its manifest is missing or cannot be read")
    else:
        lines += _manifest(manifest)
    base = _short(tags.get("base") or "unknown")
    licence = _short(tags.get("licence") or "unknown")
    start = f"version {_short(parent)}" if parent else "the base"
    code = _short(tags.get("git_commit", "")[:12] or "unknown")
    lines.append(f"- Base {base}, licence {licence}; training started from {start}; code {code}")
    rejects = manifest.rejects if manifest else {}
    left_out = [f"- Left out: {_counts(rejects)}"] if rejects else []
    return _Section(lines, left_out)


def _manifest(manifest: Manifest) -> Iterator[str]:
    yield (
        f"- Dataset {_short(manifest.dataset_id)} of {_short(manifest.created_at)}: rows "
        f"{_counts(manifest.sources) or 'not counted'}; {_counts(manifest.counts) or 'splits not counted'}"
    )
    yield (
        f"- Since the previous dataset ({_short(manifest.previous or 'none')}): {manifest.new_pairs} pairs new, "
        f"{manifest.withdrawn_pairs} withdrawn; {manifest.seeds_superseded} seed pairs replaced"
    )
    rules = manifest.rules
    if not rules:
        yield "- Consent: the manifest is of an earlier release and does not state its rules"
        return
    review = "no second player" if rules.get("auto_review") else "a second player who agrees"
    assumed = "; players who stated nothing count as consenting" if rules.get("assumed_consent") else ""
    hours = rules.get("min_age_hours", rules.get("quarantine_hours", 0))
    yield (
        "- Consent: players' pairs only with the consent to training of who asked and, for a correction, of who wrote "
        f"it{assumed}; none of minors, of distrusted players or about a crisis. Corrections need {review}, and an age "
        f"of {_number(float(hours))} h"
    )


def _gate(judged: Judged) -> _Section:
    reasons = sorted(judged.decision.reasons, key=lambda reason: (not reason.blocking, reason.passed))
    lines = ["", "## Gate", "", "| rule | passed | measured | limit | baseline |", "|---|---|---|---|---|"]
    return _Section(lines, [_row(reason, judged.comparisons) for reason in reasons])


def _row(reason: Reason, comparisons: Sequence[Comparison]) -> str:
    """Return a row of the table. If the value is a difference, what it is a difference of is shown before it."""
    other = next((one for one in comparisons if one.rule == reason.rule and one.value != reason.value), None)
    measured = f"{_number(other.value)}, bound {_number(reason.value)}" if other else _number(reason.value)
    known = other.baseline if other else reason.baseline
    passed = "yes" if reason.passed else "**no**" if reason.blocking else "no"
    rule = _short(reason.rule) + ("" if reason.blocking else " (for information)")
    baseline = "" if known is None else _number(known)
    return f"| {rule} | {passed} | {measured} | {_number(reason.threshold)} | {baseline} |"


def _samples(judged: Judged) -> _Section:
    lines = ["", "## Own answers to gold questions", ""]
    lines += ["| question | expected | this version | baseline |", "|---|---|---|---|"]
    rows = [
        f"| {_cell(one.question)} | {_cell(one.expected)} | {_cell(one.answer)} | "
        f"{'' if one.baseline is None else _cell(one.baseline)} |"
        for one in judged.samples
    ]
    return _Section(lines, rows, needs_content=True)


def _cell(text: str) -> str:
    return as_markdown(mask_names(text), 60) or "(empty)"


def _weaknesses(judged: Judged) -> _Section:
    reasons = judged.decision.reasons
    found = [f"- {as_markdown(reason.sentence, 220)}" for reason in reasons if _is_weakness(reason)]
    missed = list(judged.missed)
    if missed:
        more = f" and {len(missed) - _MOST_MISSED} more" if len(missed) > _MOST_MISSED else ""
        named = ", ".join(_cell(question) for question in missed[:_MOST_MISSED])
        found.insert(0, f"- Must-pass questions that its own answers miss: {named}{more}")
    own = next((reason.value for reason in reasons if reason.rule == "own_answers"), None)
    if own is not None and own < 1:
        found.append(f"- Unsure of {1 - own:.0%} of its answers, which are replaced")
    return _Section(["", "## Known weaknesses", ""], found or ["- The gate found none"])


def _is_weakness(reason: Reason) -> bool:
    """Check for a missed rule, or for faulty answers that are few enough."""
    return not reason.passed or (reason.rule.startswith(_FAULT_RULES) and reason.value > 0)


def _links(facts: CardFacts) -> Iterator[str]:
    links = [("run", facts.run_page), ("parent version", facts.parent_page)]
    if facts.judged is not None and facts.run_page:
        links.append(("decision", f"{facts.run_page}/artifacts/decision.html"))
    known = [f"[{label}]({page})" for label, page in links if page]
    if known:
        yield from ("", "## Links", "", " · ".join(known))


def _short(text: str) -> str:
    return as_markdown(text, 40)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{as_markdown(str(name), 24)} {int(count)}" for name, count in list(counts.items())[:_MOST_COUNTS]
    )


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}".rstrip("0").rstrip(".").replace("-", "−")
