"""The commands ``explain`` and ``learned``, and the formatting of an explanation for a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.learning import BotName
from kogpt2_chat.cli.lineage import short_lines, sources
from kogpt2_chat.cli.output import Json, progress, show
from kogpt2_chat.domain.chat.turns import Turn, answer_source
from kogpt2_chat.domain.learning.explanation import Explanation, Replay, Step, Token, TokenChoice
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.settings import load_settings

_WIDTH: Final = 110


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    app.command()(explain)
    app.command()(learned)


def explain(
    turn_id: Annotated[str, typer.Argument(help="Id of the turn, as `ask` prints it.", metavar="TURN_ID")],
    top: Annotated[int, typer.Option(min=1, max=100, help="Number of choices to show for each step.")] = 5,
    *,
    as_json: Json = False,
) -> None:
    """Show how an answer was made: origin, tokens, filters, and a replay of its prompt with token probabilities.

    Example: `kogpt2-chat explain bot_question-3-17`
    """
    from kogpt2_chat.jobs.explain import explain as run

    settings = load_settings()
    found = run(
        turn_id=turn_id,
        top=top,
        topics=bootstrap.topics(settings),
        sources=sources(settings),
        progress=progress,
    )
    show(found, as_text(found), as_json=as_json)


def learned(
    bot: BotName,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of pairs to show.")] = 20,
    version: Annotated[
        int | None, typer.Option(min=1, help="Number of the version; default: the one that answers.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show what a version of a bot has learned from players, the newest first.

    Example: `kogpt2-chat learned ChatbotA`
    """
    from kogpt2_chat.jobs.show_learned import show_learned as run

    settings = load_settings()
    found = run(
        bot=bot,
        limit=limit,
        files=bootstrap.files(settings),
        registry=bootstrap.registry(settings),
        settings=settings,
        version=version,
    )
    lines = [f"{bot} version {found.version}: {found.total} pairs learned from players"]
    lines += [f"{'*' if pair.new else ' '} {one_line(pair.question)} → {one_line(pair.answer)}" for pair in found.pairs]
    show(found, "\n".join(lines), as_json=as_json)


def as_text(found: Explanation) -> str:
    """Format an explanation for a terminal; external texts are shown without control characters."""
    turn = found.turn
    lines = [f"Turn {turn.turn_id} (found in {found.found_in})", *_facts(turn)]
    if found.prompt:
        exact = "as the model read it" if found.exact_prompt else "NOT exactly what the model read"
        lines += _section(f"Prompt: {len(found.prompt)} tokens, {exact}", _tokens(found.prompt))
    if found.answer_tokens:
        lines += _section(f"Answer: {len(found.answer_tokens)} tokens", _tokens(found.answer_tokens))
    if found.changes or found.prompt:
        lines += _section("From the tokens to the answer", _changes(found))
    if found.replay is not None:
        how = turn.decoding.get("strategy", "greedy")
        title = f"Replay of {turn.bot} version {turn.model_version}: fp32, {how}, control tokens suppressed"
        lines += _section(title, _replay(found.replay))
    if found.lineage is not None:
        lines += short_lines(found.lineage)
    notes = [*found.notes, *(found.lineage.notes if found.lineage else ())]
    if notes:
        lines += _section("Notes", [f"- {one_line(note)}" for note in notes])
    return "\n".join(lines)


def _facts(turn: Turn) -> Iterator[str]:
    missing = "(not stored: the player did not consent to storage)"
    served = f"version {turn.model_version}" if turn.model_version else "no version"
    source = f"{answer_source(turn.fallback, turn.model_version)} while {served} served" if turn.fallback else served
    decoding = ", ".join(f"{name} {value}" for name, value in turn.decoding.items()) or "nothing was decoded"
    facts = {
        "bot": turn.bot,
        "sender": f"{turn.sender} (player {turn.player_id})",
        "question": turn.text if turn.consent_store else missing,
        "answer": turn.answer if turn.consent_store else missing,
        "source": f"{source}, rollout epoch {turn.epoch}, {turn.worker}",
        "decoding": decoding,
        "sent": turn.sent_at or "unknown",
        "received": turn.received_at,
        "answered": f"{turn.answered_at} ({turn.latency_ms} ms)",
        "consent": f"store {_yes(turn.consent_store)}, train {_yes(turn.consent_train)}",
    }
    for label, fact in facts.items():
        yield f"  {label:<10} {one_line(fact)}"


def _section(title: str, lines: Sequence[str] | Iterator[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)]


def _tokens(tokens: Sequence[Token]) -> list[str]:
    """Format token ids with their pieces, wrapped into lines."""
    shown = [str(token.token_id) if token.piece is None else f"{token.token_id}:{token.piece}" for token in tokens]
    return textwrap.wrap("  ".join(shown), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _changes(found: Explanation) -> Iterator[str]:
    if not found.changes:
        yield "nothing was changed"
    for change in found.changes:
        yield f"{change.rule}: {change.why}"
        if change.before:
            yield f"    {change.before!r} -> {change.after!r}"


def _replay(replay: Replay) -> Iterator[str]:
    for step in replay.steps:
        yield _step(step)
    stopped = "end token" if replay.stop_reason == "end" else f"cut at {replay.max_new_tokens} tokens"
    yield f"answer: {replay.answer or '(no printable text)'} ({stopped})"
    yield f"verdict: {_verdict(replay)}"


def _step(step: Step) -> str:
    others = [choice for choice in step.choices if choice.token_id != step.chosen.token_id]
    line = f"{step.number:>3}  {_choice(step.chosen)}"
    if others:
        line += "   rather than " + ", ".join(map(_choice, others))
    if step.stored is not None and step.stored.token_id != step.chosen.token_id:
        line += f"   <- the turn has {_choice(step.stored)}"
    return line


def _verdict(replay: Replay) -> str:
    difference = replay.difference
    if replay.verdict == "nothing_to_compare":
        return "the turn has no tokens to compare"
    if difference is None:
        return f"turn and replay agree on all {replay.compared} steps"
    return (
        f"turn and replay differ from step {difference.step} on: the turn has {_choice(difference.stored)}, "
        f"the replay chose {_choice(difference.replayed)}, a margin of {difference.margin:.2%}"
    )


def _choice(choice: TokenChoice) -> str:
    return f"{choice.piece or choice.token_id} {choice.probability:.2%}"


def _yes(agreed: bool) -> str:  # noqa: FBT001 - one flag to one word
    return "yes" if agreed else "no"
