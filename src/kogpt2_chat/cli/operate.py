"""Commands for operators: mute a bot, and replay dead letters."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.learning import BotName
from kogpt2_chat.cli.output import Json, progress, show
from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.domain.chat.dead_letters import REASONS, REPLAYABLE, SkipReason
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK
from kogpt2_chat.machine.person import system_user
from kogpt2_chat.settings import load_settings

if TYPE_CHECKING:
    from kogpt2_chat.jobs.mute import MuteResult
    from kogpt2_chat.jobs.replay_dead_letters import ReplayDeadLettersResult

Why = Annotated[str, typer.Option("--reason", help="Reason, stored in `rollout_state`.")]

_MEANING_BY_CAUSE: Final[Mapping[SkipReason, str]] = {
    "already_replayed": "replayed before",
    "before_memory": "too old to tell whether they were replayed, as `bot_question` deletes old records; "
    "`--again` sends these",
    "died_again": "replays that failed again; fix the cause, then `--again` sends these",
    "over_limit": "over `--limit`",
    "too_large_to_send": "too large for `bot_question`",
    "too_late": "past `reply_by`: the player is no longer waiting",
    "value_dropped": "without a value: it was too large to store, or the question had none",
}


def known_reasons(reasons: list[str] | None) -> list[str] | None:
    """Return the reasons unchanged, or raise a usage error that lists all reasons."""
    unknown = [name for name in reasons or () if name not in REASONS]
    if unknown:
        raise typer.BadParameter(f"unknown reason {', '.join(unknown)}; expected one of {', '.join(REASONS)}")
    return reasons


def complete_reason() -> list[str]:
    """Return the reasons for shell completion."""
    return list(REASONS)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    for command in (mute, unmute, replay_dead_letters):
        app.command()(command)


def mute(bot: BotName, reason: Why = "", *, as_json: Json = False) -> None:
    """Make a bot answer every question with a fixed notice, until `unmute`.

    Example: `kogpt2-chat mute ChatbotA --reason "이상한 답을 한다"`
    """
    _change(bot, muted=True, reason=reason, as_json=as_json)


def unmute(bot: BotName, reason: Why = "", *, as_json: Json = False) -> None:
    """Make a muted bot answer with its model again.

    Example: `kogpt2-chat unmute ChatbotA`
    """
    _change(bot, muted=False, reason=reason, as_json=as_json)


def replay_dead_letters(
    reason: Annotated[
        list[str] | None,
        typer.Option(
            callback=known_reasons,
            autocompletion=complete_reason,
            help=f"Reason to select; can be repeated. Default: {' and '.join(REPLAYABLE)}.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of letters to replay, oldest first.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Select and count, but send nothing.")] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Also replay letters that may have been replayed before (too old to tell), and failed replays.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters to `bot_question` again, each once, after their cause was fixed.

    Example: `kogpt2-chat replay-dead-letters --reason crash_loop --dry-run`
    """
    from kogpt2_chat.jobs.replay_dead_letters import replay_dead_letters as run

    result = run(
        topics=bootstrap.topics(load_settings()),
        progress=progress,
        reasons=[known for known in REASONS if known in reason] if reason else REPLAYABLE,
        limit=limit,
        dry_run=dry_run,
        again=again,
    )
    show(result, replay_text(result), as_json=as_json)


def mute_text(result: "MuteResult") -> str:
    """Format the result of a mute or unmute for a terminal."""
    named = f"{result.bot} ({BOT_BY_ID[result.bot].name})"
    state = f"{'is now' if result.changed else 'is already'} {'muted' if result.muted else 'not muted'}"
    by = f"acknowledged by {', '.join(result.workers)}" if result.epoch else "nothing was ever published for it"
    notice = f'\nplayers see: "{NOTICE_BY_FALLBACK["muted"]}"' if result.muted else ""
    return f"{named} {state}, epoch {result.epoch}, {by}{notice}"


def replay_text(result: "ReplayDeadLettersResult") -> str:
    """Format what a replay sent and what it skipped, for a terminal, without players' texts."""
    others = result.other_reasons
    verb = "would be sent" if result.dry_run else "sent"
    lines = [f"{len(result.replays)} of {result.letters} dead letters {verb} to `bot_question` again"]
    lines += [f"  {replay.replay_of}  {replay.reason}" for replay in result.replays]
    lines += [f"skipped: {count} ({_MEANING_BY_CAUSE[cause]})" for cause, count in result.left.items()]
    if others:
        lines.append(
            f"skipped: {sum(others.values())} with other reasons ({_counted(others.items())}); select with `--reason`"
        )
    return "\n".join(lines)


def _change(bot: str, *, muted: bool, reason: str, as_json: bool) -> None:
    from kogpt2_chat.jobs.mute import mute as run

    settings = load_settings()
    result = run(
        bot=bot,
        topics=bootstrap.topics(settings),
        settings=settings,
        progress=progress,
        muted=muted,
        reason=reason,
        by=system_user(),
    )
    show(result, mute_text(result), as_json=as_json)


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)
