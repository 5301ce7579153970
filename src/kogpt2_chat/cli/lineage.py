"""The command ``lineage``, and the formatting of a lineage for a terminal. Texts from outside are shown on one line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Json, progress, show
from kogpt2_chat.domain.learning.lineage import Lineage, NearestRow, Position, RecordedConsent, question_position
from kogpt2_chat.domain.learning.row_lineage import Learner, RowLineage, given_turn_id, shown_row
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings, load_settings

if TYPE_CHECKING:
    from kogpt2_chat.lake.trace_turn import Sources


def add_to(app: typer.Typer) -> None:
    """Add this module's command to the CLI."""
    app.command()(lineage)


def lineage(
    turn_id: Annotated[
        str | None, typer.Argument(help="Id of the turn, as `ask` prints it.", metavar="TURN_ID")
    ] = None,
    row: Annotated[
        str | None,
        typer.Option(
            help="Instead of a turn: a training row, by the id of its turn or by its hash.", metavar="TURN_ID|HASH"
        ),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show where an answer came from (version, run, dataset, gate, consent), or which versions learned a row.

    Example: `kogpt2-chat lineage bot_question-3-17`

    Example: `kogpt2-chat lineage --row bot_question-3-17`
    """
    if (turn_id is None) == (row is None):
        raise InvalidInput("expected either a TURN_ID, or --row with a turn id or a row's hash")
    settings = load_settings()
    if row is not None:
        from kogpt2_chat.jobs.row_lineage import row_lineage

        learned = row_lineage(
            row=row,
            registry=bootstrap.registry(settings),
            tables=bootstrap.tables(settings),
            files=bootstrap.files(settings),
            settings=settings,
            progress=progress,
        )
        show(learned, "\n".join(_row_lines(learned)), as_json=as_json)
    elif turn_id is not None:
        from kogpt2_chat.jobs.lineage import lineage as run

        found = run(turn_id=turn_id, topics=bootstrap.topics(settings), sources=sources(settings), progress=progress)
        show(found, as_text(found), as_json=as_json)


def sources(settings: Settings) -> "Sources":
    """Return the servers that know parts of a turn's lineage."""
    from kogpt2_chat.lake.trace_turn import Sources

    return Sources(
        index=bootstrap.index(settings),
        registry=bootstrap.registry(settings),
        tables=bootstrap.tables(settings),
        files=bootstrap.files(settings),
        settings=settings,
    )


def as_text(found: Lineage) -> str:
    """Format the lineage of a turn."""
    turn, missing = found.shown_turn(), "(not stored: the player did not consent to storage)"
    lines = [
        f"Turn {turn['turn_id']} (found in {found.found_in})",
        *_facts(
            {
                "bot": turn["bot"],
                "player": f"{turn['sender']} ({turn['player_id']})",
                "question": missing if turn["question"] is None else turn["question"],
                "answer": missing if turn["answer"] is None else turn["answer"],
                "outcome": turn["outcome"],
                "answered": turn["answered_at"],
            }
        ),
        *short_lines(found),
    ]
    if found.gate and found.gate.decision:
        lines += ["", f"Gate: {found.gate.result}, compared with {found.gate.decision.baseline}"]
        for reason in found.gate.decision.reasons:
            verdict = "ok" if reason.passed else "NO" if reason.blocking else "no"
            lines.append(f"  {verdict:<3}{reason.rule:<24}{one_line(reason.sentence)}")
    if found.notes:
        lines += ["", "Notes", *(f"  - {one_line(note)}" for note in found.notes)]
    return "\n".join(lines)


def short_lines(found: Lineage) -> list[str]:
    """Return the facts about the origin of an answer, without the turn and without notes."""
    turn, version, run, dataset = found.turn, found.version, found.run, found.dataset
    facts = {
        "kafka": f"question {_position(question_position(turn.turn_id))}, "
        f"turn {_position(found.log) if found.log else 'unknown'}",
        "consent": f"store {_yes(turn.consent_store)}, train {_yes(turn.consent_train)}, "
        f"minor {_yes(turn.minor)}, authenticated {_yes(turn.authenticated)}",
        "version": "unknown"
        if version is None
        else f"{version.version}{_aliases(version.aliases)}, registered {version.registered_at or 'unknown'}, "
        f"parent {version.tags.get('parent') or 'none: trained from the base'}",
        "run": f"{run.run_id}  {run.url}" if run else "unknown",
        "dataset": "unknown"
        if dataset is None
        else f"{dataset.dataset_id} of {dataset.created_at}: rows {_counts(dataset.sources)}; "
        f"left out {_counts(dataset.rejects) or 'none'}",
        "gate": f"{found.gate.result or 'not evaluated'}: {found.gate.summary}" if found.gate else "unknown",
    }
    lines = ["", "Where it came from", *_facts(facts)]
    if found.nearest_rows:
        lines += ["", "Nearest training rows", *(line for near in found.nearest_rows for line in _near(near))]
    learned = ["  no version that is still registered"] if not found.learned_by else _learners(found.learned_by)
    return [*lines, "", "Learned from this turn", *learned]


def _row_lines(found: RowLineage) -> Iterator[str]:
    yield f"Row {found.asked}"
    for row in found.rows:
        shown = shown_row(row)
        yield f"  {row.source}: {one_line(str(shown['question']))} → {one_line(str(shown['answer']))}"
        yield f"      from {given_turn_id(row.turn_id) or 'the seed corpus'}, hash {row.row_hash or 'unknown'}"
    yield ""
    yield "Datasets with it"
    for dataset in found.datasets:
        newest = ", the newest" if dataset.newest else ""
        yield f"  {dataset.bot} {dataset.dataset} of {dataset.created_at}: {', '.join(dataset.splits)}{newest}"
    yield ""
    yield "Versions that learned it"
    yield from _learners(found.learned_by)
    if found.withdrawn:
        yield "It is not in the newest dataset any more."
    for entry in found.distrusted:
        yield f"Distrusted: {entry.kind} {one_line(entry.subject)} by {one_line(entry.by)}: {one_line(entry.reason)}"
    for note in found.notes:
        yield f"- {one_line(note)}"


def _learners(learned_by: Sequence[Learner]) -> list[str]:
    return [
        f"  {one.bot} version {one.version}{_aliases(one.aliases)}, dataset {one.dataset or 'unknown'}, "
        f"gate {one.gate or 'not evaluated'}{'' if one.how == 'dataset' else ', through its parent'}"
        for one in learned_by
    ]


def _near(near: NearestRow) -> Iterator[str]:
    shown = shown_row(near.row)
    yield f"  {near.likeness:.2f}  {one_line(str(shown['question']))} → {one_line(str(shown['answer']))}"
    origin = near.row.source
    if near.row.turn_id:
        origin += f" from {given_turn_id(near.row.turn_id)}; asked with {_consent(near.asker)}"
    if near.row.source == "correction":
        origin += f"; corrected with {_consent(near.teacher)}"
    yield f"        {origin}"


def _consent(recorded: RecordedConsent | None) -> str:
    if recorded is None:
        return "unknown consent"
    train = "no stated consent" if recorded.train is None else f"consent {_yes(recorded.train)}"
    return f"{train}, minor {_yes(recorded.minor)}, authenticated {_yes(recorded.authenticated)}"


def _facts(facts: Mapping[str, object]) -> list[str]:
    return [f"  {label:<10} {one_line(str(fact))}" for label, fact in facts.items()]


def _position(found: Position) -> str:
    return f"{found.topic}-{found.partition} at {found.offset}"


def _aliases(aliases: Sequence[str]) -> str:
    return f" ({', '.join(aliases)})" if aliases else ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _yes(agreed: bool) -> str:  # noqa: FBT001 - one flag to one word
    return "yes" if agreed else "no"
