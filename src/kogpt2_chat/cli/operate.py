"""Commands with which an operator steps in: silence a bot, ask again what died."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, cast

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.learning import BotName
from kogpt2_chat.cli.output import Json, progress, show
from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.domain.chat.dead_letters import REASONS, REPLAYABLE, Left, Reason
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK
from kogpt2_chat.machine.person import system_user
from kogpt2_chat.settings import load_settings

Why = Annotated[str, typer.Option("--reason", help="Why, for whoever looks at `rollout_state` later.")]

_MEANING_BY_CAUSE: Final[Mapping[Left, str]] = {
    "already_replayed": "replayed before",
    "before_memory": "so old that `bot_question` may have forgotten the replay; `--again` sends these",
    "died_again": "replays that died again; mend the cause, then `--again` sends these",
    "over_limit": "over `--limit`",
    "too_large_to_send": "larger than `bot_question` takes",
    "too_late": "past `reply_by`: the player waits no longer",
    "value_dropped": "without a value: too large to be kept, or never there",
}


def known_reasons(reasons: list[str] | None) -> list[str] | None:
    """The reasons as they were given, or a usage error that names those there are."""
    unknown = [name for name in reasons or () if name not in REASONS]
    if unknown:
        raise typer.BadParameter(f"no dead letter has the reason {', '.join(unknown)}; there are {', '.join(REASONS)}")
    return reasons


def complete_reason() -> list[str]:
    """Shell completion of reasons."""
    return list(REASONS)


def add_to(app: typer.Typer) -> None:
    """Hang the commands into the CLI."""
    for command in (mute, unmute, replay_dead_letters):
        app.command()(command)


def mute(bot: BotName, reason: Why = "", *, as_json: Json = False) -> None:
    """Let a bot answer every question with a fixed notice, from the next batch on, until `unmute`.

    Example: `kogpt2-chat mute ChatbotA --reason "이상한 답을 한다"`
    """
    _change(bot, muted=True, reason=reason, as_json=as_json)


def unmute(bot: BotName, reason: Why = "", *, as_json: Json = False) -> None:
    """Let a muted bot speak again.

    Example: `kogpt2-chat unmute ChatbotA`
    """
    _change(bot, muted=False, reason=reason, as_json=as_json)


def replay_dead_letters(
    reason: Annotated[
        list[str] | None,
        typer.Option(
            callback=known_reasons,
            autocompletion=complete_reason,
            help=f"A reason to choose; may be given several times. When left out: {' and '.join(REPLAYABLE)}.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many letters, the oldest first.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Choose and count, but send nothing.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also letters whose replay may be forgotten, and replays that died again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask dead letters again, each once, after the fault that killed them was mended.

    Example: `kogpt2-chat replay-dead-letters --reason crash_loop --dry-run`
    """
    from kogpt2_chat.jobs.replay_dead_letters import replay_dead_letters as run

    result = run(
        topics=bootstrap.topics(load_settings()),
        progress=progress,
        reasons=cast("list[Reason]", reason) or REPLAYABLE,
        limit=limit,
        dry_run=dry_run,
        again=again,
    )
    show(result, replay_text(result), as_json=as_json)


def mute_text(result: Mapping[str, object]) -> str:
    """What a mute or unmute came to, for a person."""
    bot, workers = str(result["bot"]), cast("list[str]", result["workers"])
    named = f"{bot} ({BOT_BY_ID[bot].name})"
    state = f"{'is now' if result['changed'] else 'is already'} {'muted' if result['muted'] else 'not muted'}"
    by = f"heard by {', '.join(workers)}" if result["epoch"] else "nothing was ever published for it"
    notice = f'\nplayers read: "{NOTICE_BY_FALLBACK["muted"]}"' if result["muted"] else ""
    return f"{named} {state}, epoch {result['epoch']}, {by}{notice}"


def replay_text(result: Mapping[str, object]) -> str:
    """What a replay sent and what it left, for a person; never a player's words."""
    replays = cast("list[Mapping[str, str]]", result["replays"])
    left, others = cast("Mapping[Left, int]", result["left"]), cast("Mapping[str, int]", result["other_reasons"])
    verb = "would be sent" if result["dry_run"] else "sent"
    lines = [f"{len(replays)} of {result['letters']} dead letters {verb} to `bot_question` again"]
    lines += [f"  {replay['replay_of']}  {replay['reason']}" for replay in replays]
    lines += [f"left: {count} ({_MEANING_BY_CAUSE[cause]})" for cause, count in left.items()]
    if others:
        lines.append(f"left: {sum(others.values())} of other reasons ({_counted(others.items())}); `--reason` chooses")
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
