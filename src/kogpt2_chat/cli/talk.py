"""Commands that talk to the bots."""

from typing import Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.learning import BotName
from kogpt2_chat.cli.output import Json, on_interrupt, progress, show
from kogpt2_chat.domain.chat.turns import FeedbackKind, spoken_by
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.errors import GateRefused, InvalidInput, KogptChatError
from kogpt2_chat.machine.person import system_user
from kogpt2_chat.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Hang the commands into the CLI."""
    app.command()(ask)
    app.command()(feedback)
    app.command()(demo)


def ask(
    bot: BotName,
    text: Annotated[str, typer.Argument(help="What to say, 1 to 500 characters.")],
    sender: Annotated[str, typer.Option(help="Who asks.")] = "",
    timeout_s: Annotated[float, typer.Option(min=1, help="How long to wait.")] = 30.0,
    *,
    train: Annotated[bool, typer.Option(help="The turn may be learned from.")] = False,
    as_json: Json = False,
) -> None:
    """Ask a bot through Kafka and say which version answered.

    Example: `kogpt2-chat ask ChatbotA "안녕"`
    """
    from kogpt2_chat.client.ask import Utterance
    from kogpt2_chat.client.ask import ask as run

    utterance = Utterance(bot=bot, sender=sender or system_user(), text=text, train=train)
    reply = run(utterances=[utterance], topics=bootstrap.topics(load_settings()), timeout_s=timeout_s)[0]
    who = spoken_by(reply.fallback, reply.version)
    show(
        reply.as_json(),
        f"{bot}: {one_line(reply.answer)}\n  ({who}, {reply.latency_ms} ms, {reply.turn_id})",
        as_json=as_json,
    )


def feedback(
    turn_id: Annotated[str, typer.Argument(help="The turn, as `ask` names it.", metavar="TURN_ID")],
    kind: Annotated[FeedbackKind, typer.Argument(help="What you think of it.")],
    text: Annotated[str, typer.Argument(help="The better answer, for a correction.")] = "",
    sender: Annotated[str, typer.Option(help="Who says so.")] = "",
    *,
    train: Annotated[
        bool | None, typer.Option(help="The better answer may be learned from; default: as the player said before.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Praise, complain about or correct an answer; corrections are what bots learn from.

    Example: `kogpt2-chat feedback bot_question-3-17 correction "거울동굴은 바람언덕 아래에 있어요."`
    """
    from kogpt2_chat.client.feedback import Opinion, give_feedback

    if kind == "correction" and not text.strip():
        raise InvalidInput("a correction needs the better answer: kogpt2-chat feedback TURN_ID correction TEXT")
    player_id = f"legacy:{sender or system_user()}"
    opinion = Opinion(turn_id=turn_id, player_id=player_id, kind=kind, text=text or None, consent_train=train)
    sent = give_feedback(opinions=[opinion], topics=bootstrap.topics(load_settings()))
    show({"sent": sent, "turn_id": turn_id, "kind": kind}, f"{kind} on {turn_id} was sent", as_json=as_json)


def demo(
    dataset: Annotated[
        str, typer.Option(help="A ChatbotData.csv instead of the shipped corpora.", envvar="DATASET")
    ] = "",
    *,
    as_json: Json = False,
) -> None:
    """The whole loop once: train, talk, learn, roll out, talk again; leaves the stack running.

    Example: `kogpt2-chat demo`. Exit code 3 when a bot is left without a version that passed the gate.
    """
    from kogpt2_chat.demo.interruption import what_stays
    from kogpt2_chat.demo.run import run as run_demo

    on_interrupt(what_stays)
    try:
        report = run_demo(dataset=dataset, progress=progress)
    except KogptChatError as error:
        error.add_note(what_stays("The demo ended early."))
        raise
    show(report.as_json(), report.text(), as_json=as_json)
    if report.speechless:
        raise GateRefused(
            f"no version of {', '.join(report.speechless)} passed the gate, so that players get notices in place of "
            "answers; the reasons are in the table of versions"
        )
