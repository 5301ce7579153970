"""Commands that talk to the bots."""

from typing import Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.learning import BotName
from kogpt2_chat.cli.output import Json, on_interrupt, progress, show
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.turns import FeedbackKind, answer_source
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.errors import GateRefused, InvalidInput, KogptChatError
from kogpt2_chat.machine.person import system_user
from kogpt2_chat.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    app.command()(ask)
    app.command()(feedback)
    app.command()(demo)


def ask(
    bot: BotName,
    text: Annotated[str, typer.Argument(help="The question, 1 to 500 characters.")],
    sender: Annotated[str, typer.Option(help="Name of the player who asks; default: the system user.")] = "",
    timeout_s: Annotated[float, typer.Option(min=1, help="Seconds to wait for the answer.")] = 30.0,
    *,
    train: Annotated[bool, typer.Option(help="Consent to training on this turn.")] = False,
    as_json: Json = False,
) -> None:
    """Ask a bot through Kafka, and show its answer and the version that answered.

    Example: `kogpt2-chat ask ChatbotA "안녕"`
    """
    from kogpt2_chat.client.ask import Utterance
    from kogpt2_chat.client.ask import ask as run

    utterance = Utterance(bot=bot, sender=sender or system_user(), text=text, train=train)
    reply = run(utterances=[utterance], topics=bootstrap.topics(load_settings()), timeout_s=timeout_s)[0]
    who = answer_source(reply.fallback, reply.version)
    show(
        reply,
        f"{bot}: {one_line(reply.answer)}\n  ({who}, {reply.latency_ms} ms, {reply.turn_id})",
        as_json=as_json,
    )


def feedback(
    turn_id: Annotated[str, typer.Argument(help="Id of the turn, as `ask` prints it.", metavar="TURN_ID")],
    kind: Annotated[FeedbackKind, typer.Argument(help="Kind of feedback.")],
    text: Annotated[str, typer.Argument(help="The better answer, for a correction.")] = "",
    sender: Annotated[str, typer.Option(help="Name of the player; default: the system user.")] = "",
    *,
    train: Annotated[
        bool | None,
        typer.Option(help="Consent to training on the better answer; default: the player's earlier choice."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rate an answer up or down, report it, or correct it. Bots learn from praise and from corrections.

    Example: `kogpt2-chat feedback bot_question-3-17 correction "거울동굴은 바람언덕 아래에 있어요."`
    """
    from kogpt2_chat.client.feedback import Opinion, send_feedback

    if kind == "correction" and not text.strip():
        raise InvalidInput("a correction needs the better answer: kogpt2-chat feedback TURN_ID correction TEXT")
    player_id = f"legacy:{sender or system_user()}"
    opinion = Opinion(turn_id=turn_id, player_id=player_id, kind=kind, text=text or None, consent_train=train)
    sent = send_feedback(opinions=[opinion], topics=bootstrap.topics(load_settings()))
    show({"sent": sent, "turn_id": turn_id, "kind": kind}, f"{kind} on {turn_id} was sent", as_json=as_json)


def _named_bots(names: str) -> list[str]:
    """Return the bots that a list with commas names, in their usual order; all bots if it is empty.

    Raises:
        InvalidInput: a name is not a bot's.
    """
    named = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := named - set(BOT_IDS):
        raise InvalidInput(f"--bots names {', '.join(sorted(unknown))}: expected some of {', '.join(BOT_IDS)}")
    return [bot for bot in BOT_IDS if bot in named or not named]


def demo(
    dataset: Annotated[
        str, typer.Option(help="A ChatbotData.csv to use instead of the shipped corpora.", envvar="DATASET")
    ] = "",
    base: Annotated[
        str,
        typer.Option(
            help="Base model: a folder, a hub id or `small`. Default: the settings', else `small`.", envvar="BASE"
        ),
    ] = "",
    bots: Annotated[
        str, typer.Option(help="Bots to train and ask, separated by commas. Default: all.", envvar="BOTS")
    ] = "",
    *,
    as_json: Json = False,
) -> None:
    """Run the whole loop once: train, talk, learn, roll out, talk again. The servers keep running afterwards.

    Example: `kogpt2-chat demo --base skt/kogpt2-base-v2 --bots ChatbotA`. Exit code 3 if a bot has no version that
    passed the gate.
    """
    from kogpt2_chat.demo.interruption import ending_message
    from kogpt2_chat.demo.run import run as run_demo

    on_interrupt(ending_message)
    try:
        report = run_demo(dataset=dataset, base=base, bots=_named_bots(bots), progress=progress)
    except KogptChatError as error:
        error.add_note(ending_message("The demo ended early."))
        raise
    show(report, report.text(), as_json=as_json)
    if report.speechless:
        raise GateRefused(
            f"no version of {', '.join(report.speechless)} passed the gate, so players get notices instead of answers; "
            "the table of versions lists the reasons"
        )
