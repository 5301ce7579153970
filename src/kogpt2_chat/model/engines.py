"""The engine that the settings ask for, and a version loaded for it. Only that engine's library is imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.model.card import ENGINE_FILES, ModelCard, verify_folder
from kogpt2_chat.model.engine import BotModel, Engine
from kogpt2_chat.model.paged import PagedModel
from kogpt2_chat.model.tokenizer import ChatTokenizer, load_tokenizer
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBot:
    """A version in the serving engine (a :class:`kogpt2_chat.model.engine.BotModel`); torch is not needed.

    Attributes:
        version: which version, as text.
        network: the compiled graph and its pages.
        tokenizer: text to ids and back.
        card: what the version is made of.
        max_prompt_tokens: bound of a prompt.
        max_answer_chars: bound of an answer.
    """

    version: str
    network: PagedModel
    tokenizer: ChatTokenizer
    card: ModelCard
    max_prompt_tokens: int
    max_answer_chars: int

    def encode(self, text: str) -> list[int]:
        """Prompt ids of a question."""
        return self.tokenizer.encode_prompt(text, self.max_prompt_tokens)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Plain answer text of generated ids."""
        return self.tokenizer.decode(token_ids, self.max_answer_chars)


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
    )
