"""Commands of the learning loop, in the order in which ``retrain_bots`` runs them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.output import Json, progress, show
from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.learning.start_weights import StartWeights
from kogpt2_chat.errors import GateRefused, InvalidInput, RecordsLost
from kogpt2_chat.settings import load_settings

if TYPE_CHECKING:
    from kogpt2_chat.domain.lake.gaps import LostRange


def known_bot(bot: str) -> str:
    """Return the bot's id, or raise a usage error that lists all bots."""
    if bot not in BOT_IDS:
        raise typer.BadParameter(f"unknown bot {bot!r}; expected one of {', '.join(BOT_IDS)}")
    return bot


def complete_bot() -> list[str]:
    """Return the bot ids for shell completion."""
    return list(BOT_IDS)


BotName = Annotated[str, typer.Argument(callback=known_bot, autocompletion=complete_bot, metavar="BOT")]
VersionNumber = Annotated[int, typer.Argument(min=1, metavar="VERSION")]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the CLI."""
    commands = (ingest, index, export_daily_csv, import_corpus, prepare_base, build_dataset)
    for command in (*commands, choose, finetune, register, evaluate, nominate, rollout, rollback):
        app.command()(command)


def ingest(*, as_json: Json = False) -> None:
    """Copy new turns and feedback from Kafka into the lake, each exactly once. Exit 4: done, but records were lost.

    Example: `kogpt2-chat ingest`
    """
    from kogpt2_chat.jobs.ingest import ingest as run

    settings = load_settings()
    result = run(topics=bootstrap.topics(settings), tables=bootstrap.tables(settings), settings=settings)
    _show(result, as_json=as_json)
    raise_if_lost(result.lost)


def index(
    *,
    rebuild: Annotated[
        bool, typer.Option(help="Also create an index again if this release cannot use its fields.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the search index with the lake: send turns and feedback that are missing or differ, and remove others.

    The indexer writes new turns by itself. Searching goes on meanwhile, and turns that the lake does not have yet stay.

    Example: `kogpt2-chat index`
    """
    from kogpt2_chat.jobs.index import index as run

    settings = load_settings()
    result = run(tables=bootstrap.tables(settings), index=bootstrap.index(settings), rebuild=rebuild)
    _show(result, as_json=as_json)


def export_daily_csv(*, as_json: Json = False) -> None:
    """Write one `Q,A` file per bot and day of this year's conversations into the lake.

    Example: `kogpt2-chat export-daily-csv`
    """
    from kogpt2_chat.jobs.export_daily_csv import export_daily_csv as run

    settings = load_settings()
    result = run(tables=bootstrap.tables(settings), files=bootstrap.files(settings), settings=settings)
    _show(result, as_json=as_json)


def import_corpus(
    source: Annotated[
        Path, typer.Argument(help="ChatbotData.csv: columns Q,A,label; labels 0, 1 and 2 are the bots A, B and C.")
    ],
    folder: Annotated[Path, typer.Argument(help="Corpora folder to write; set KOGPT2_LEARNING__CORPORA to it.")],
    *,
    bots: Annotated[
        list[str] | None,
        typer.Option("--bot", help="Import only this bot's rows; can be repeated.", autocompletion=complete_bot),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create seed, gold, dev and golden files for every bot from one labelled CSV file.

    Example: `kogpt2-chat import-corpus ChatbotData.csv var/corpora`
    """
    from kogpt2_chat.jobs.import_corpus import import_corpus as run

    chosen = tuple(dict.fromkeys(known_bot(bot) for bot in bots or BOT_IDS))
    _show(run(source=source, folder=folder, bots=chosen), as_json=as_json)


def prepare_base(
    *,
    rebuild: Annotated[bool, typer.Option(help="Train the small base again from the seed corpora.")] = False,
    ship: Annotated[bool, typer.Option(help="With --rebuild: write it to the checkout's base/small.")] = False,
    as_json: Json = False,
) -> None:
    """Prepare the base model: import it from a hub or a folder, or use the small base in the checkout.

    Example: `KOGPT2_MODEL__BASE=small kogpt2-chat prepare-base`
    """
    from kogpt2_chat.training import base

    if ship and not rebuild:
        raise InvalidInput("only a newly trained base can be shipped: add --rebuild")
    settings = load_settings()
    made = base.rebuild(settings, progress) if rebuild else base.prepare(settings, progress)
    if ship:
        from kogpt2_chat.training import small_base, small_key

        small_base.ship(made.folder)
        progress(f"shipped in {small_key.SHIPPED}")
    _show(made, as_json=as_json)


def build_dataset(
    bots: Annotated[list[str], typer.Argument(autocompletion=complete_bot, metavar="BOT...")],
    *,
    as_json: Json = False,
) -> None:
    """Build an immutable dataset for each bot in one Spark application.

    Example: `kogpt2-chat build-dataset ChatbotA ChatbotC`
    """
    from kogpt2_chat.jobs.build_dataset import build_dataset as run

    settings = load_settings()
    chosen = tuple(dict.fromkeys(known_bot(bot) for bot in bots))
    built = run(
        bots=chosen,
        spark=bootstrap.spark(settings),
        tables=bootstrap.tables(settings),
        files=bootstrap.files(settings),
        settings=settings,
        progress=progress,
    )
    _show(built, as_json=as_json)


def choose(
    datasets: Annotated[
        list[str],
        typer.Argument(help="Bots with dataset ids, as `build-dataset` prints them.", metavar="BOT=ID..."),
    ],
    *,
    force: Annotated[bool, typer.Option("--force", help="Train even if too few pairs are new.")] = False,
    as_json: Json = False,
) -> None:
    """Decide for each bot whether to train it on its dataset: with enough new pairs, or with withdrawn ones.

    Example: `kogpt2-chat choose ChatbotA=3f2a9c81d04e`
    """
    from kogpt2_chat.jobs.choose import choose as run

    dataset_by_bot = dict(map(_bot_and_dataset, datasets))
    settings = load_settings()
    files, registry = bootstrap.files(settings), bootstrap.registry(settings)
    result = run(datasets=dataset_by_bot, force=force, files=files, registry=registry, settings=settings)
    lines = (f"{bot}: {'train' if made.train else 'skip'}, {made.reason}" for bot, made in result.choices.items())
    show(result, "\n".join(lines), as_json=as_json)


def finetune(
    bot: BotName,
    dataset: Annotated[str, typer.Argument(help="Dataset id, as `build-dataset` prints it.")],
    mode: Annotated[StartWeights, typer.Option(help="Weights to start from.")] = "from_base",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, max=200, help="Epochs; default: KOGPT2_TRAINING__EPOCHS, or 6 for new pairs on top of the champion."
        ),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Fine-tune one bot on one dataset. The result is an MLflow run with the model's files.

    Example: `kogpt2-chat finetune ChatbotA 3f2a9c81d04e --epochs 12`
    """
    from kogpt2_chat.jobs.finetune import finetune as run

    settings = load_settings()
    result = run(
        bot=bot,
        dataset=dataset,
        mode=mode,
        epochs=epochs,
        files=bootstrap.files(settings),
        registry=bootstrap.registry(settings),
        settings=settings,
        progress=progress,
        spark=bootstrap.spark(settings) if settings.training.ranks > 1 else None,
    )
    _show(result, as_json=as_json)


def register(
    bot: BotName,
    run_id: Annotated[str, typer.Argument(help="Id of a finished MLflow run, as `finetune` prints it.")],
    *,
    as_json: Json = False,
) -> None:
    """Register a run's model as the bot's next version.

    Example: `kogpt2-chat register ChatbotA 8a1f…`
    """
    from kogpt2_chat.jobs.register import register as run

    settings = load_settings()
    registry, files = bootstrap.registry(settings), bootstrap.files(settings)
    _show(run(bot=bot, run_id=run_id, registry=registry, files=files, settings=settings), as_json=as_json)


def evaluate(bot: BotName, version: VersionNumber, *, as_json: Json = False) -> None:
    """Compare a version with the champion, the base and retrieval, and apply the gate. Exit 3: the gate refused it.

    Example: `kogpt2-chat evaluate ChatbotA 2`
    """
    from kogpt2_chat.jobs.evaluate import evaluate as run

    settings = load_settings()
    decision = run(
        bot=bot,
        version=version,
        registry=bootstrap.registry(settings),
        files=bootstrap.files(settings),
        settings=settings,
        progress=progress,
    )
    _show(decision, as_json=as_json)
    if not decision.passed:
        raise GateRefused(f"{bot} version {version}: " + "; ".join(decision.refusals()))


def nominate(bot: BotName, version: VersionNumber, *, as_json: Json = False) -> None:
    """Make a version that passed the gate the bot's candidate.

    Example: `kogpt2-chat nominate ChatbotA 2`
    """
    from kogpt2_chat.jobs.nominate import nominate as run

    _show(run(bot=bot, version=version, registry=bootstrap.registry(load_settings())), as_json=as_json)


def rollout(
    bot: BotName,
    version: Annotated[
        int | None, typer.Option(min=1, help="Version that passed the gate; default: the candidate.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Let all workers load a version, then make it the champion. If anything fails, the old champion keeps serving.

    Example: `kogpt2-chat rollout ChatbotA`
    """
    from kogpt2_chat.jobs.rollout import rollout as run

    settings = load_settings()
    topics, registry = bootstrap.topics(settings), bootstrap.registry(settings)
    result = run(bot=bot, version=version, topics=topics, registry=registry, settings=settings, progress=progress)
    _show(result, as_json=as_json)


def rollback(bot: BotName, *, as_json: Json = False) -> None:
    """Return to the previous version.

    Example: `kogpt2-chat rollback ChatbotA`
    """
    from kogpt2_chat.jobs.rollback import rollback as run

    settings = load_settings()
    topics, registry = bootstrap.topics(settings), bootstrap.registry(settings)
    result = run(bot=bot, topics=topics, registry=registry, settings=settings, progress=progress)
    _show(result, as_json=as_json)


def raise_if_lost(lost: "Iterable[LostRange]") -> None:
    """Raise an error after an ingest run that found gaps.

    Args:
        lost: the gaps that were not reported before.

    Raises:
        RecordsLost: there are new gaps.
    """
    ranges = "; ".join(
        f"{gap.topic}/{gap.kafka_partition} {gap.reason} "
        f"{gap.start} to {'an unknown end' if gap.end is None else gap.end}"
        for gap in lost
    )
    if ranges:
        raise RecordsLost(f"these records are permanently missing from the lake: {ranges}. Its table `gaps` lists them")


def _bot_and_dataset(text: str) -> tuple[str, str]:
    bot, _, dataset = text.partition("=")
    if not dataset:
        raise typer.BadParameter(f"expected BOT=ID, found {text!r}", param_hint="BOT=ID")
    return known_bot(bot), dataset


def _show(result: object, *, as_json: bool) -> None:
    """Print a job's result: one line per field, or JSON."""
    show(result, "\n".join(f"{name}: {value}" for name, value in fields_of(result).items()), as_json=as_json)
