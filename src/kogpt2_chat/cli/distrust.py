"""The command ``distrust``."""

from typing import Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Json, show
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Hang the command into the CLI."""
    app.command()(distrust)


def distrust(
    subject: Annotated[str, typer.Argument(help="A player, or a turn; empty lists them.", metavar="PLAYER|TURN")] = "",
    by: Annotated[str, typer.Option(help="Who decides it.")] = "",
    reason: Annotated[str, typer.Option(help="Why; kept for good.")] = "",
    *,
    undo: Annotated[bool, typer.Option(help="Trust the player or the turn again.")] = False,
    as_json: Json = False,
) -> None:
    """Let bots learn nothing more from a player or a turn, and unlearn what they have; without a name, list them.

    Example: `kogpt2-chat distrust 트롤하나 --by 김하늘 --reason "teaches nonsense"`
    """
    from kogpt2_chat.jobs.distrust import distrust as run
    from kogpt2_chat.jobs.distrust import list_distrusted

    if not subject and (by or reason or undo):
        raise typer.BadParameter("the name is empty; to list them, give no option", param_hint="PLAYER|TURN")
    tables = bootstrap.tables(load_settings())
    if not subject:
        found = list_distrusted(tables=tables)
        lines = [f"{row['kind']} {row['subject']}: {row['reason']} ({row['by']}, {row['at']})" for row in found]
        show({"distrusted": found}, "\n".join(map(one_line, lines)) or "nobody is distrusted", as_json=as_json)
        return
    entry = run(subject=subject, by=by, reason=reason, undo=undo, tables=tables)
    said = f"{entry['kind']} {entry['subject']}: {entry['action']}; the next run of retrain_bots heeds it"
    show(entry, one_line(said), as_json=as_json)
