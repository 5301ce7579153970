"""The commands ``review-safety list`` and ``review-safety show``."""

from typing import TYPE_CHECKING, Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Json, show
from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.settings import load_settings

if TYPE_CHECKING:
    from kogpt2_chat.jobs.list_safety_turns import ListSafetyTurnsResult
    from kogpt2_chat.jobs.open_safety_turn import OpenSafetyTurnResult

review_app = typer.Typer(
    help="Turns that may be about a crisis: list them, or open one with a stated reason.", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    app.add_typer(review_app, name="review-safety")


@review_app.command(name="list")
def list_turns(*, as_json: Json = False) -> None:
    """List the turns that may be about a crisis: counts and ids, without texts or senders.

    Example: `kogpt2-chat review-safety list`
    """
    from kogpt2_chat.jobs.list_safety_turns import list_safety_turns as run

    found = run(tables=bootstrap.tables(load_settings()))
    show(found, list_text(found), as_json=as_json)


@review_app.command(name="show")
def show_turn(
    turn_id: Annotated[str, typer.Argument(help="Id of the turn, as `list` prints it.", metavar="TURN_ID")],
    reviewer: Annotated[str, typer.Option(help="Name of the person who opens it.")],
    reason: Annotated[str, typer.Option(help="Reason; stored permanently.")],
    *,
    as_json: Json = False,
) -> None:
    """Show one turn, after an entry with reviewer, time and reason was added to the lake's table `audit`.

    Example: `kogpt2-chat review-safety show bot_question-3-17 --reviewer 김하늘 --reason "weekly review"`
    """
    from kogpt2_chat.jobs.open_safety_turn import open_safety_turn as run

    found = run(turn_id=turn_id, reviewer=reviewer, reason=reason, tables=bootstrap.tables(load_settings()))
    show(found, turn_text(found), as_json=as_json)


def list_text(found: "ListSafetyTurnsResult") -> str:
    """Format the list for a terminal, without players' texts."""
    lines = [f"{len(found.turns)} turns may be about a crisis"]
    for bot, by_kind in found.counts.items():
        lines.append(f"  {bot}: {', '.join(f'{kind} {count}' for kind, count in by_kind.items())}")
    lines += [
        f"{turn.date}  {turn.turn_id}  {turn.bot}  {turn.kind}  opened {turn.opened} times" for turn in found.turns
    ]
    return "\n".join(lines)


def turn_text(found: "OpenSafetyTurnResult") -> str:
    """Format one turn for a terminal; external texts are shown without control characters."""
    return "\n".join(
        f"{name:<12} {one_line(str(value))}" for name, value in fields_of(found).items() if value is not None
    )
