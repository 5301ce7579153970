"""The engine that the settings ask for, and a version loaded for it. Only that engine's library is imported."""

from pathlib import Path

from kogpt2_chat.domain.prompt import bot_ids
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.model.bot import Bot
from kogpt2_chat.model.card import ENGINE_FILES, verify_folder
from kogpt2_chat.model.engine import BotModel, Engine
from kogpt2_chat.model.paged import PagedModel
from kogpt2_chat.model.tokenizer import load_tokenizer
from kogpt2_chat.model.uncertain import read_uncertainty
from kogpt2_chat.settings import Settings


class ServedBot(Bot[PagedModel]):
    """A version in the serving engine; torch is not needed."""


def make_engine(settings: Settings) -> Engine:
    """A fresh engine of the kind that ``serving.engine`` names."""
    max_batch, max_new_tokens = settings.serving.max_batch, settings.model.max_new_tokens
    if settings.serving.engine == "transformers":
        from kogpt2_chat.model.transformers_engine import TransformersEngine

        return TransformersEngine(max_batch=max_batch, max_new_tokens=max_new_tokens)
    from kogpt2_chat.model.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(max_batch=max_batch, max_new_tokens=max_new_tokens, cores=settings.serving.threads)


def load_for_engine(folder: Path, settings: Settings, version: str | None = None) -> BotModel:
    """Verify a version's folder and load it for the engine of the settings.

    Args:
        folder: the version's files, with ``model.json``.
        settings: which engine, bounds and threads.
        version: what to call it; the folder's name by default.

    Returns:
        The loaded version.

    Raises:
        CheckpointCorrupt: the folder is not what its hashes promise, or was made before it carried this engine's
            files.
    """
    if settings.serving.engine == "transformers":
        from kogpt2_chat.model.load import load_bot

        return load_bot(folder, settings, version)
    return load_served(folder, settings, version, side_by_side=True)


def load_served(
    folder: Path, settings: Settings, version: str | None = None, *, side_by_side: bool = False
) -> ServedBot:
    """Verify a version's folder and load it into OpenVINO.

    Args:
        folder: the version's files, with ``model.json``.
        settings: bounds and threads.
        version: what to call it; the folder's name by default.
        side_by_side: ready to run beside other bots' models, as a worker does.

    Returns:
        The loaded version.

    Raises:
        CheckpointCorrupt: the folder is not what its hashes promise, or holds no engine files.
    """
    card = verify_folder(folder)
    if missing := [name for name in ENGINE_FILES if name not in card.files]:
        raise CheckpointCorrupt(
            f"{folder} has no {missing[0]}: the version was made before versions were converted for the serving "
            "engine. Train it again, or serve it with KOGPT2_SERVING__ENGINE=transformers"
        )
    tokenizer = load_tokenizer(folder)
    model = settings.model
    network = PagedModel(
        folder / ENGINE_FILES[0],
        threads=settings.serving.threads,
        side_by_side=side_by_side,
        max_rows=settings.serving.max_batch,
        max_tokens=model.max_prompt_tokens + model.max_new_tokens,
    )
    if tokenizer.size > network.vocabulary:
        raise CheckpointCorrupt(f"{folder}: the tokenizer has {tokenizer.size} entries, the graph {network.vocabulary}")
    return ServedBot(
        version=version or folder.name,
        network=network,
        tokenizer=tokenizer,
        card=card,
        max_prompt_tokens=min(model.max_prompt_tokens, network.positions - model.max_new_tokens),
        max_answer_chars=settings.serving.max_answer_chars,
        first_ids=bot_ids(card.bot, card.prompt_format),
        uncertainty=read_uncertainty(folder),
    )
