"""The command ``distrust``."""

from typing import Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Json, show
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    app.command()(distrust)


def distrust(
    subject: Annotated[
        str, typer.Argument(help="A player or a turn; default: list all distrusted ones.", metavar="PLAYER|TURN")
    ] = "",
    by: Annotated[str, typer.Option(help="Who makes the decision.")] = "",
    reason: Annotated[str, typer.Option(help="Reason; stored permanently.")] = "",
    *,
    undo: Annotated[bool, typer.Option(help="Trust the player or the turn again.")] = False,
    as_json: Json = False,
) -> None:
    """Exclude a player or a turn from training; the next retraining also removes what bots have learned from it.

    Example: `kogpt2-chat distrust 트롤하나 --by 김하늘 --reason "teaches nonsense"`
    """
    from kogpt2_chat.jobs.distrust import distrust as run
    from kogpt2_chat.jobs.list_distrusted import list_distrusted

    if not subject and (by or reason or undo):
        raise typer.BadParameter("missing; to list all distrusted ones, omit the options too", param_hint="PLAYER|TURN")
    tables = bootstrap.tables(load_settings())
    if not subject:
        found = list_distrusted(tables=tables)
        lines = [f"{row.kind} {row.subject}: {row.reason} ({row.by}, {row.at})" for row in found.distrusted]
        show(found, "\n".join(map(one_line, lines)) or "no player or turn is distrusted", as_json=as_json)
        return
    entry = run(subject=subject, by=by, reason=reason, undo=undo, tables=tables)
    text = f"{entry.kind} {entry.subject}: {entry.action}; the next run of retrain_bots applies it"
    show(entry, one_line(text), as_json=as_json)
