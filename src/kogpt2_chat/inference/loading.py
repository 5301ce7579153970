"""Load versions for the serving engine, without torch."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kogpt2_chat.artifact.card import ENGINE_FILES, ModelCard, verify_folder
from kogpt2_chat.artifact.convert import convert
from kogpt2_chat.artifact.forms import NATIVE, NATIVE_INT8, NATIVE_INT8_SHORT, SHORT_FORMS, Form, FormChoice
from kogpt2_chat.artifact.profiles import profile_of
from kogpt2_chat.artifact.tokenizer import ChatTokenizer, load_tokenizer
from kogpt2_chat.domain.chat.prompt import bot_token_ids
from kogpt2_chat.errors import CheckpointCorrupt, GateRefused
from kogpt2_chat.inference.bot import LoadedModel
from kogpt2_chat.inference.drafts import Drafts
from kogpt2_chat.inference.engine import Engine
from kogpt2_chat.inference.form_choice import choose_form
from kogpt2_chat.inference.form_process import FormProcess
from kogpt2_chat.inference.native.library import find_library
from kogpt2_chat.inference.pages import PagedNetwork
from kogpt2_chat.inference.short_list import short_list
from kogpt2_chat.inference.uncertain import read_uncertainty
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServedBot(LoadedModel[PagedNetwork]):
    """A version loaded for the serving engine.

    Attributes:
        choice: the form in which it is computed, with the measurements behind the choice.
    """

    choice: FormChoice

    @property
    def free_rows(self) -> float:
        """How many rows cost as much as a pass costs without rows, on this machine; 0 if that was not measured."""
        speed = self.choice.speed_by_form.get(self.form)
        return speed.free_rows if speed else 0.0

    @property
    def form(self) -> Form:
        """The form in which it is computed."""
        return self.choice.form


def make_engine(settings: Settings) -> Engine:
    """Return a new serving engine."""
    from kogpt2_chat.inference.paged_engine import PagedEngine

    return PagedEngine(
        max_batch=settings.serving.max_batch,
        max_new_tokens=settings.model.max_new_tokens,
        cores=settings.serving.threads,
    )


def load_for_players(
    folder: Path,
    settings: Settings,
    label: str | None = None,
    *,
    on_choice: Callable[[FormChoice], None] = lambda _: None,
) -> ServedBot:
    """Verify a version's folder and load it, ready to answer players.

    Args:
        folder: the version's files, with ``model.json``.
        settings: limits and threads.
        label: the name that the model reports; by default the folder's name.
        on_choice: called with the chosen form, even if the version is then refused.

    Raises:
        CheckpointCorrupt: a file is missing, or does not have the hash on the card.
        GateRefused: on this machine every form crashes, or gives answers that differ too much from those in fp32.
        Unavailable: the forms could not be measured.
    """
    served = load_served(folder, settings, label, side_by_side=True)
    on_choice(served.choice)
    _require_agreement(served)
    return served


def load_served(folder: Path, settings: Settings, label: str | None = None, *, side_by_side: bool = False) -> ServedBot:
    """Verify a version's folder and load it in the form that is best on this machine.

    An old version without a graph is converted here, with int8 weights only.

    Args:
        folder: the version's files, with ``model.json``.
        settings: limits and threads.
        label: the name that the model reports; by default the folder's name.
        side_by_side: prepare it to run concurrently with other bots' models, as in a worker.

    Raises:
        CheckpointCorrupt: a file is missing, or does not have the hash on the card.
        GateRefused: every form crashes on this machine.
        Unavailable: the forms could not be measured.
    """
    card = verify_folder(folder)
    tokenizer = load_tokenizer(folder)
    with _graph(folder, card, tokenizer) as graph:
        return _load(folder, graph, card, tokenizer, settings, label, side_by_side=side_by_side)


def load_form(
    folder: Path, graph: Path, tokenizer: ChatTokenizer, form: Form, settings: Settings, *, side_by_side: bool = False
) -> PagedNetwork:
    """Load a version in one form. Each engine is imported only if one of its forms is loaded.

    Args:
        folder: the version's files.
        graph: its graph, which may be elsewhere.
        tokenizer: of the version.
        form: one of :func:`kogpt2_chat.inference.form_choice.available_forms`.
        settings: limits and threads.
        side_by_side: prepare it to run concurrently with other bots' models, as in a worker.

    Raises:
        CheckpointCorrupt: the files cannot be loaded.
    """
    threads, max_sequences = settings.serving.threads, settings.serving.max_batch
    max_tokens = settings.model.max_prompt_tokens + settings.model.max_new_tokens
    library = find_library()
    if library and form in (NATIVE, NATIVE_INT8, *SHORT_FORMS):
        from kogpt2_chat.inference.native_model import NativeModel

        frequent, max_answer_tokens = settings.serving.short_list, settings.model.max_new_tokens
        return NativeModel(
            folder, tokenizer.control_ids, library=library, int8=form in (NATIVE_INT8, NATIVE_INT8_SHORT),
            listed=short_list(folder, tokenizer, frequent, max_answer_tokens) if form in SHORT_FORMS else (),
            threads=threads, max_sequences=max_sequences, max_tokens=max_tokens,
        )  # fmt: skip
    from kogpt2_chat.inference.paged import PagedModel

    return PagedModel(
        graph, form=form, side_by_side=side_by_side, threads=threads, max_sequences=max_sequences, max_tokens=max_tokens
    )


@contextmanager
def _graph(folder: Path, card: ModelCard, tokenizer: ChatTokenizer) -> Iterator[Path]:
    """Yield the version's graph, or one that is converted here and then deleted: its mapping outlives the file."""
    if all(name in card.files for name in ENGINE_FILES):
        yield folder / ENGINE_FILES[0]
        return
    with tempfile.TemporaryDirectory(prefix="kogpt2-graph-") as temporary:
        yield convert(folder, tokenizer.control_ids, into=Path(temporary))


def _load(
    folder: Path,
    graph: Path,
    card: ModelCard,
    tokenizer: ChatTokenizer,
    settings: Settings,
    label: str | None,
    *,
    side_by_side: bool,
) -> ServedBot:
    model = settings.model
    choice = choose_form(
        folder, graph, card, native=find_library(), frequent=settings.serving.short_list,
        threads=settings.serving.threads, cache=settings.cache_dir,
        measurements=FormProcess(folder, graph, settings, side_by_side=side_by_side),
        least_share=profile_of(settings, small=card.small).engine_agreement,
    )  # fmt: skip
    network = load_form(folder, graph, tokenizer, choice.form, settings, side_by_side=side_by_side)
    if tokenizer.size > network.vocabulary:
        raise CheckpointCorrupt(f"{folder}: the tokenizer has {tokenizer.size} entries, the graph {network.vocabulary}")
    served = ServedBot(
        label=label or folder.name,
        network=network,
        tokenizer=tokenizer,
        card=card,
        max_prompt_tokens=min(model.max_prompt_tokens, network.positions - model.max_new_tokens),
        max_answer_chars=settings.serving.max_answer_chars,
        first_ids=bot_token_ids(card.bot, card.prompt_format),
        uncertainty=read_uncertainty(folder),
        choice=choice,
    )
    return replace(served, drafts=learned_drafts(served, model.max_new_tokens)) if settings.serving.drafts else served


def learned_drafts(served: ServedBot, max_new_tokens: int) -> Drafts | None:
    """Return the answers that a version has learned; None if its folder does not have them."""
    if served.uncertainty is None:
        return None
    return Drafts(
        (served.encode(pair.question), served.tokenizer.encode_answer(pair.answer, max_new_tokens))
        for pair in served.uncertainty.known.known
    )


def _require_agreement(served: ServedBot) -> None:
    choice = served.choice
    if choice.agrees or choice.agreement is None:
        return
    agreement = choice.agreement
    raise GateRefused(
        f"on this processor the engine answers {agreement.same_answers} of {agreement.answers} prompts of the version "
        f"as its weights do in fp32 ({agreement.share:.1%}, expected at least {choice.least_share:.1%}, "
        f"form {choice.form}): keep the previous version"
    )
