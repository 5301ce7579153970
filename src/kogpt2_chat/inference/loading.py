"""The engine that the settings ask for, and a version loaded for it. Only that engine's library is imported."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kogpt2_chat.artifact.card import ENGINE_FILES, verify_folder
from kogpt2_chat.artifact.forms import Choice, Form
from kogpt2_chat.artifact.profiles import profile_of
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.chat.prompt import bot_ids
from kogpt2_chat.errors import CheckpointCorrupt, GateRefused
from kogpt2_chat.inference.bot import Bot
from kogpt2_chat.inference.engine import BotModel, Engine
from kogpt2_chat.inference.form_choice import choose_form
from kogpt2_chat.inference.paged import PagedModel
from kogpt2_chat.inference.uncertain import read_uncertainty
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServedBot(Bot[PagedModel]):
    """A version in the serving engine; torch is not needed.

    Attributes:
        choice: in which form, and why.
    """

    choice: Choice

    @property
    def form(self) -> Form:
        """In which form it computes."""
        return self.choice.form


def make_engine(settings: Settings) -> Engine:
    """A fresh engine of the kind that ``serving.engine`` names."""
    max_batch, max_new_tokens = settings.serving.max_batch, settings.model.max_new_tokens
    if settings.serving.engine == "transformers":
        from kogpt2_chat.evaluation.reference import TransformersEngine

        return TransformersEngine(max_batch=max_batch, max_new_tokens=max_new_tokens)
    from kogpt2_chat.inference.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(max_batch=max_batch, max_new_tokens=max_new_tokens, cores=settings.serving.threads)


def load_for_engine(
    folder: Path,
    settings: Settings,
    version: str | None = None,
    *,
    on_choice: Callable[[Choice], None] = lambda _: None,
) -> BotModel:
    """Verify a version's folder and load it for the engine of the settings, for players to hear.

    Args:
        folder: the version's files, with ``model.json``.
        settings: which engine, bounds and threads.
        version: what to call it; the folder's name by default.
        on_choice: told in which form the serving engine computes, also when it may not speak in it.

    Returns:
        The loaded version.

    Raises:
        CheckpointCorrupt: the folder is not what its hashes promise, or was made before it carried this engine's
            files.
        GateRefused: on this machine it does not say what its weights say in fp32, in any form.
    """
    if settings.serving.engine == "transformers":
        from kogpt2_chat.network.load import load_bot

        return load_bot(folder, settings, version)
    served = load_served(folder, settings, version, side_by_side=True)
    on_choice(served.choice)
    _refuse_unless_it_agrees(served)
    return served


def load_served(
    folder: Path, settings: Settings, version: str | None = None, *, side_by_side: bool = False
) -> ServedBot:
    """Verify a version's folder and load it into OpenVINO, in the form that this machine does best.

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
    tokenizer, model = load_tokenizer(folder), settings.model

    @cache
    def load(form: Form) -> PagedModel:
        return PagedModel(
            folder / ENGINE_FILES[0],
            form=form,
            threads=settings.serving.threads,
            side_by_side=side_by_side,
            max_rows=settings.serving.max_batch,
            max_tokens=model.max_prompt_tokens + model.max_new_tokens,
        )

    choice = choose_form(
        folder, card, threads=settings.serving.threads, cache=settings.cache_dir, load=load,
        least_share=profile_of(settings, small=card.small).engine_agreement,
    )  # fmt: skip
    network = load(choice.form)
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
        choice=choice,
    )


def _refuse_unless_it_agrees(served: ServedBot) -> None:
    choice = served.choice
    if choice.agrees or choice.agreement is None:
        return
    agreement = choice.agreement
    raise GateRefused(
        f"on this processor the engine answers {agreement.same_answers} of {agreement.answers} prompts of the version "
        f"like its weights in fp32 ({agreement.share:.1%}, at least {choice.least_share:.1%} asked, form {choice.form})"
        ": keep the version before it, or serve with KOGPT2_SERVING__ENGINE=transformers"
    )
