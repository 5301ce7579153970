"""Explain where an answer came from: the turn, its tokens, what changed them, and a replay of the same prompt.

The explanation uses only the stored turn and the registered version, so it can be repeated anywhere and at any time.
What is missing is reported as missing, never guessed.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kogpt2_chat.artifact.downloads import local_version
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.learning.explanation import Explanation, ReplayVerdict, Token, fallback_changes
from kogpt2_chat.domain.text.masking import masked_count
from kogpt2_chat.errors import CheckpointCorrupt, NotFound
from kogpt2_chat.lake.find_turn import find_turn
from kogpt2_chat.lake.trace_turn import Sources, trace_turn
from kogpt2_chat.ports import Registry, Topics
from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.inference.engine import Sampling
    from kogpt2_chat.network.load import LoadedBot

_REFERENCE_ENGINE: Final = "transformers"


def explain(
    *,
    turn_id: str,
    top: int,
    topics: Topics,
    sources: Sources,
    progress: Callable[[str], None] = lambda _: None,
) -> Explanation:
    """Find a turn, and run its prompt again on the version that answered it.

    Args:
        turn_id: ``bot_question-PARTITION-OFFSET``.
        top: how many choices to show per step.
        topics: Kafka, which has the turns of the last few days.
        sources: all other servers, and the settings.
        progress: called with a line on each step.

    Returns:
        The explanation. It has no replay if the turn has no text, if no model was serving, or if the version's files
        are missing or damaged; its notes give the reason.

    Raises:
        InvalidInput: this is not a turn id, or the turn may be about a crisis; only a safety review opens those.
        NotFound: neither Kafka nor the index has the turn, or it cannot be read.
    """
    progress(f"looking for {turn_id}")
    settings = sources.settings
    found = find_turn(turn_id, topics, sources.index, settings.kafka.ingest_batch)
    turn = found.turn
    explanation = Explanation(
        turn=turn,
        found_in=found.where,
        answer_tokens=tuple(Token(token_id=token_id) for token_id in turn.answer_token_ids),
        changes=fallback_changes(turn) if turn.consent_store else (),
        lineage=trace_turn(found, sources),
    )
    if not turn.consent_store:
        return _without_replay(explanation, "the player did not consent to storing: no text and no tokens were stored")
    if turn.model_version == 0:
        return _without_replay(explanation, "no model version was serving, so nothing can be replayed")
    progress(f"loading {turn.bot} version {turn.model_version}")
    try:
        bot = _load(turn, sources.registry, settings)
    except (NotFound, CheckpointCorrupt) as error:
        return _without_replay(explanation, f"version {turn.model_version} can no longer run: {error}")
    return _replayed(explanation, bot, top, settings)


def _load(turn: Turn, registry: Registry, settings: Settings) -> "LoadedBot":
    from kogpt2_chat.network.load import load_bot

    folder = local_version(turn.bot, turn.model_version, registry, settings)
    return load_bot(folder, settings, str(turn.model_version))


def _without_replay(explanation: Explanation, why: str) -> Explanation:
    return replace(explanation, notes=(*explanation.notes, why))


def _replayed(explanation: Explanation, bot: "LoadedBot", top: int, settings: Settings) -> Explanation:
    from kogpt2_chat.evaluation import replay

    turn = explanation.turn
    prompt_ids = bot.encode(turn.text)
    doubt = _doubt(turn, len(prompt_ids))
    run = replay.replay(
        bot,
        prompt_ids,
        stored=_stored_sequence(turn),
        max_new_tokens=_token_limit(turn, settings),
        top=top,
        sampling=_sampling(turn),
    )
    notes = [note for note in (doubt, _about_fallback(turn), _about_engine(turn, run.verdict)) if note]
    return replace(
        explanation,
        prompt=replay.spelled(bot, prompt_ids),
        exact_prompt=doubt is None,
        answer_tokens=replay.spelled(bot, turn.answer_token_ids),
        changes=explanation.changes or replay.changes(bot, turn.answer_token_ids, turn.answer),
        replay=run,
        notes=(*explanation.notes, *notes),
    )


def _doubt(turn: Turn, found: int) -> str | None:
    """Return why the prompt may differ from the one that the model read; None if it is the same."""
    if masked_count(turn.text):
        return (
            "personal data is masked in the stored question, so the prompt is not the one that the model read "
            f"({found} tokens now, {turn.prompt_tokens} then): the replay shows the choices for the masked text"
        )
    if earlier := turn.decoding.get("earlier_turns"):
        return (
            f"the prompt began with earlier turns of the conversation ({earlier}), which are not reconstructed: "
            "the replay shows the choices for the question alone"
        )
    # 0: the worker sent a notice before it built a prompt.
    if turn.prompt_tokens and found != turn.prompt_tokens:
        return (
            f"the stored question has {found} tokens, but the model read {turn.prompt_tokens}: perhaps "
            "KOGPT2_MODEL__MAX_PROMPT_TOKENS was different then. The replay shows the choices for the stored question"
        )
    return None


def _about_fallback(turn: Turn) -> str | None:
    if turn.fallback is None:
        return None
    nearest = turn.decoding.get("nearest")
    if turn.fallback == "nearest" and isinstance(nearest, dict):
        known, source, likeness = (nearest.get(name, "not stored") for name in ("question", "source", "likeness"))
        return (
            f"the player received the answer of the nearest known question: {known!r} (source {source}, likeness "
            f"{likeness}); the replay shows the model's own answer"
        )
    return "the player did not receive the model's answer; the replay shows what the model would have answered"


def _about_engine(turn: Turn, verdict: ReplayVerdict) -> str | None:
    """Return a note if another engine may explain a difference: rounding and int8 weights can change close choices."""
    engine = turn.decoding.get("engine", _REFERENCE_ENGINE)
    if verdict != "differs" or engine == _REFERENCE_ENGINE:
        return None
    return (
        f"the engine {engine} answered, and the replay used the reference engine: rounding explains a small margin, "
        "but not a large one"
    )


def _sampling(turn: Turn) -> "Sampling | None":
    """Return the sampling settings of the turn; None if decoding was greedy."""
    from kogpt2_chat.inference.engine import Sampling

    if turn.decoding.get("strategy") != "sampled":
        return None
    temperature, top_k, seed = (turn.decoding.get(name) for name in ("temperature", "top_k", "seed"))
    if not isinstance(temperature, float) or not isinstance(top_k, int) or not isinstance(seed, int):
        return None
    return Sampling(temperature=temperature, top_k=top_k, seed=seed)


def _token_limit(turn: Turn, settings: Settings) -> int:
    """Return the turn's own limit of new tokens, or that of the settings if the turn has none."""
    limit = turn.decoding.get("max_new_tokens")
    if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
        return limit
    return max(settings.model.max_new_tokens, len(turn.answer_token_ids))


def _stored_sequence(turn: Turn) -> tuple[int, ...]:
    """Return the tokens that the model chose. The worker does not store the end token, so it is added here."""
    if turn.fallback is not None:
        return ()
    ended = turn.decoding.get("stop_reason", "end") == "end"
    return (*turn.answer_token_ids, END_ID) if ended else turn.answer_token_ids
