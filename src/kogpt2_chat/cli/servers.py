"""Commands for the servers: ``stack …``, ``status`` and ``settings``."""

from typing import Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Exit, Json, leave, progress, show, wait_silently
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.variables import shown_variables

stack_app = typer.Typer(help="Start, stop and inspect the servers on this machine.", no_args_is_help=True)
Only = Annotated[str, typer.Option(help="Comma-separated services, e.g. `kafka,namenode`; default: all.")]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    app.add_typer(stack_app, name="stack")
    app.command()(status)
    app.command(name="settings")(show_settings)


@stack_app.command()
def up(only: Only = "", *, as_json: Json = False) -> None:
    """Start all servers that are not running, and wait until they are healthy.

    Example: `kogpt2-chat stack up`
    """
    from kogpt2_chat.stack.stack import up as start

    settings = load_settings()
    start(
        settings,
        only=_names(only),
        progress=progress,
        on_ready=lambda: bootstrap.prepare_servers(settings),
    )
    status(as_json=as_json)


@stack_app.command()
def down(
    *,
    wipe: Annotated[bool, typer.Option(help="Also delete the servers' data.")] = False,
    as_json: Json = False,
) -> None:
    """Stop all servers in the right order. Their data is kept, unless `--wipe` is given.

    Example: `kogpt2-chat stack down --wipe`
    """
    from kogpt2_chat.stack.stack import down as stop

    stop(load_settings(), wipe=wipe, progress=progress)
    show(
        {"stopped": True, "wiped": wipe},
        "the stack is down" + (", its data is deleted" if wipe else ""),
        as_json=as_json,
    )


@stack_app.command()
def logs(
    service: Annotated[str, typer.Argument(help="Name of a service, as `status` shows it.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Number of lines from the end of the log.")] = 50,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new lines until ctrl-C.")] = False,
) -> None:
    """Show a server's log.

    Example: `kogpt2-chat stack logs worker-1 -f`
    """
    from kogpt2_chat.stack.stack import logs as show_logs

    wait_silently()
    for line in show_logs(load_settings(), service, lines=lines, follow=follow):
        typer.echo(line)


def status(*, as_json: Json = False) -> None:
    """Show which servers run and are healthy, which version serves each bot, and the URLs of the web pages.

    Example: `kogpt2-chat status --json`. Exit code 1 if a server is not healthy, or if none is running.
    """
    from kogpt2_chat.cli.status import report, table

    found = report(load_settings())
    show(found, table(found), as_json=as_json)
    if not found.services or not all(service.healthy for service in found.services):
        leave(Exit.FAILED)


def show_settings(
    *,
    defaults: Annotated[bool, typer.Option(help="Show the defaults instead of the current values.")] = False,
    as_json: Json = False,
) -> None:
    """Show all settings with their values and their environment variables.

    Example: `kogpt2-chat settings`
    """
    settings = Settings() if defaults else load_settings()
    lines = (f"{name}={value}" for name, value in shown_variables(settings).items())
    show(settings.model_dump(mode="json"), "\n".join(lines), as_json=as_json)


stack_app.command(name="status")(status)


def _names(only: str) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in only.split(",") if name.strip()) or None
