"""The commands ``moderate …`` and ``reports``."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Json, show
from kogpt2_chat.domain.chat.times import with_offset
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.machine.person import system_user
from kogpt2_chat.settings import load_settings

if TYPE_CHECKING:
    from kogpt2_chat.domain.chat.moderation import Action, Moderation, PlayerReport
    from kogpt2_chat.jobs.list_reports import ListReportsResult
    from kogpt2_chat.jobs.moderate import ModerateResult

moderate_app = typer.Typer(
    help="Mute or ban a player of the virtual world, hide a chat line, or lift that.", no_args_is_help=True
)
Player = Annotated[str, typer.Argument(help="The player's id, as `reports` prints it.", metavar="PLAYER")]
Why = Annotated[str, typer.Option("--reason", help="Reason; other operators read it, players do not.")]
Until = Annotated[
    str,
    typer.Option(help="Time at which it ends, e.g. `2026-12-01T09:00`; without an offset, in Seoul; default: never."),
]
By = Annotated[str, typer.Option(help="Who decides; default: the system user.")]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    app.add_typer(moderate_app, name="moderate")
    app.command()(reports)


@moderate_app.command()
def mute(player: Player, reason: Why, until: Until = "", by: By = "", *, as_json: Json = False) -> None:
    """Stop the delivery of what a player says to other players. The player can still walk and ask bots.

    Example: `kogpt2-chat moderate mute w-7fQ2 --reason "욕설" --until 2026-12-01T09:00`
    """
    _moderate("mute", player, reason, until, by, as_json=as_json)


@moderate_app.command()
def ban(player: Player, reason: Why, until: Until = "", by: By = "", *, as_json: Json = False) -> None:
    """Keep a player out of the world.

    Example: `kogpt2-chat moderate ban w-7fQ2 --reason "도배"`
    """
    _moderate("ban", player, reason, until, by, as_json=as_json)


@moderate_app.command()
def hide(
    line: Annotated[str, typer.Argument(help="The line's id, as `reports` prints it.", metavar="LINE_ID")],
    reason: Why,
    until: Until = "",
    by: By = "",
    *,
    as_json: Json = False,
) -> None:
    """Hide one line of the public chat.

    Example: `kogpt2-chat moderate hide c-41 --reason "개인 정보"`
    """
    _moderate("hide", line, reason, until, by, as_json=as_json)


@moderate_app.command()
def lift(
    subject: Annotated[str, typer.Argument(help="A player's or a line's id.", metavar="PLAYER|LINE_ID")],
    reason: Why = "",
    by: By = "",
    *,
    as_json: Json = False,
) -> None:
    """Lift everything that applies to a player or a chat line.

    Example: `kogpt2-chat moderate lift w-7fQ2`
    """
    _moderate("none", subject, reason, "", by, as_json=as_json)


@moderate_app.command(name="list")
def list_in_force(*, as_json: Json = False) -> None:
    """List who is muted or banned and which lines are hidden, newest first.

    Example: `kogpt2-chat moderate list`
    """
    from kogpt2_chat.jobs.list_moderations import list_moderations as run

    found = run(topics=bootstrap.topics(load_settings()))
    lines = [one_line(_moderation_text(one)) for one in found.moderations]
    show(found, "\n".join(lines) or "nobody is muted or banned, and no line is hidden", as_json=as_json)


def reports(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Number of reports, newest first.")] = 20,
    *,
    as_json: Json = False,
) -> None:
    """Show the latest reports of players and chat lines, with the lines before them and personal data masked.

    The output contains what players wrote: do not paste it anywhere. Reports of answers are feedback.

    Example: `kogpt2-chat reports --limit 5`
    """
    from kogpt2_chat.jobs.list_reports import list_reports as run

    found = run(topics=bootstrap.topics(load_settings()), limit=limit)
    show(found, reports_text(found), as_json=as_json)


def moderation_result_text(result: "ModerateResult") -> str:
    """Format what was published, for a terminal."""
    if not result.keys:
        return one_line(f"{result.subject}: nothing applies, so nothing is lifted")
    state = "lifted" if result.action == "none" else f"in force {_until_text(result.until)}"
    return "\n".join(one_line(f"{key}: {state}; gateways apply it at once") for key in result.keys)


def reports_text(found: "ListReportsResult") -> str:
    """Format the reports for a terminal: one paragraph each."""
    parts = [f"{len(found.reports)} of {found.total} reports, newest first" if found.total else "there are no reports"]
    if found.unreadable:
        parts.append(f"{found.unreadable} records of the topic `report` cannot be read by this release")
    parts += [_report_text(report) for report in found.reports]
    return "\n\n".join(parts)


def _moderate(action: "Action", subject: str, reason: str, until: str, by: str, *, as_json: bool) -> None:
    from kogpt2_chat.jobs.moderate import moderate as run

    result = run(
        action=action,
        subject=subject,
        reason=reason,
        until=_time(until),
        by=by.strip() or system_user(),
        topics=bootstrap.topics(load_settings()),
    )
    show(result, moderation_result_text(result), as_json=as_json)


def _time(text: str) -> datetime | None:
    try:
        return with_offset(datetime.fromisoformat(text)) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-12-01T09:00", param_hint="--until") from error


def _moderation_text(one: "Moderation") -> str:
    return f"{one.action} {one.subject} {_until_text(one.until)}: {one.reason} ({one.by}, {one.at})"


def _until_text(until: str | None) -> str:
    return f"until {until}" if until else "without an end"


def _report_text(report: "PlayerReport") -> str:
    what = f"line {report.line_id} of " if report.line_id else ""
    head = f"{report.at}  {what}{report.name} ({report.player_id}), room {report.room}, reported by {report.by}"
    remark = [f"  says: {report.text}"] if report.text else []
    lines = [f"  | {line.name} ({line.player_id}): {line.text}" for line in report.lines]
    return "\n".join([one_line(head), *(f"  {one_line(line)}" for line in (*remark, *lines))])
