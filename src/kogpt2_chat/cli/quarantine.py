"""Commands for quarantined records: show them, and store those that can be read now."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Json, progress, show
from kogpt2_chat.settings import load_settings
from kogpt2_chat.world_keys import signing_keys

if TYPE_CHECKING:
    from kogpt2_chat.jobs.replay_quarantine import ReplayQuarantineResult
    from kogpt2_chat.jobs.show_quarantine import ShowQuarantineResult

Reasons = Annotated[
    list[str] | None,
    typer.Option("--reason", help="Reason to select, by its first word; can be repeated. Default: all."),
]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    for command in (show_quarantine, replay_quarantine):
        app.command()(command)


def show_quarantine(reason: Reasons = None, *, as_json: Json = False) -> None:
    """Print the quarantined records, one JSON object per line, with personal data in players' texts masked.

    Example: `kogpt2-chat show-quarantine --reason schema > records.jsonl`
    """
    from kogpt2_chat.jobs.show_quarantine import show_quarantine as run

    result = run(tables=bootstrap.tables(load_settings()), reasons=tuple(reason or ()))
    show(result, records_text(result), as_json=as_json)


def replay_quarantine(
    reason: Reasons = None,
    *,
    mended: Annotated[
        Path | None,
        typer.Option(help="Lines of `show-quarantine` with corrected values, which replace the stored ones."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count, but change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Store the quarantined records that can be read now, each once, and count the others.

    Example: `kogpt2-chat replay-quarantine --mended records.jsonl --dry-run`
    """
    from kogpt2_chat.jobs.replay_quarantine import replay_quarantine as run
    from kogpt2_chat.lake.corrected_records import corrected_records

    settings = load_settings()
    result = run(
        mended={} if mended is None else corrected_records(mended),
        keys=signing_keys(settings),
        tables=bootstrap.tables(settings),
        progress=progress,
        reasons=tuple(reason or ()),
        dry_run=dry_run,
    )
    show(result, quarantine_text(result), as_json=as_json)


def records_text(result: "ShowQuarantineResult") -> str:
    """Format the records as JSON lines, the input of ``replay-quarantine --mended``."""
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in result.records)


def quarantine_text(result: "ReplayQuarantineResult") -> str:
    """Format the counts of quarantined and stored records for a terminal, without players' texts."""
    waiting, readable, still = result.waiting, result.readable, result.still
    if not waiting:
        return "the quarantine is empty"
    verb = "can be stored now" if result.dry_run else "removed from it"
    lines = [f"{sum(waiting.values())} records in quarantine ({_counted(waiting.items())})"]
    if result.mended:
        lines.append(f"corrected: {result.mended} of them")
    lines.append(f"{verb}: {sum(readable.values())}" + (f" ({_counted(readable.items())})" if readable else ""))
    if readable and not result.dry_run:
        lines.append(
            f"stored: {_counted(result.stored.items())}; the others were stored before or lack consent to storage"
        )
    if still:
        lines.append(f"still in quarantine: {sum(still.values())} that cannot be read yet ({_counted(still.items())})")
    return "\n".join(lines)


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)
