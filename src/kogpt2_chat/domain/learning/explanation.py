"""The explanation of a stored answer: its tokens, what changed their text, and how a replay compares.

Contains values and comparisons only: it does not depend on where turns are stored or how a model runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from kogpt2_chat.domain.chat.prompt import answer_steps
from kogpt2_chat.domain.chat.turns import Fallback, Turn
from kogpt2_chat.domain.lake.search_masking import mask_names
from kogpt2_chat.domain.learning.lineage import Lineage
from kogpt2_chat.domain.text.masking import mask_pii, masked_count

ExplanationRule = Literal[
    "control_token_ids", "unreadable_bytes", "normalised", "control_tokens", "cut", "masked", "fallback", "unexplained"
]
ReplayVerdict = Literal["agrees", "differs", "nothing_to_compare"]

WHY_BY_RULE: Final[Mapping[ExplanationRule, str]] = {
    "control_token_ids": "the ids of control tokens were left out",
    "unreadable_bytes": "bytes that do not form a character were removed",
    "normalised": "control and zero-width characters were removed, white space was joined, letters composed (NFC)",
    "control_tokens": "control tokens written out as text were removed",
    "cut": "the text was cut at the maximum answer length",
    "masked": "personal data was masked before the turn was stored",
    "unexplained": "the current rules turn these tokens into a different answer: the turn was written by "
    "another release or with other limits",
}
WHY_BY_FALLBACK: Final[Mapping[Fallback, str]] = {
    "timeout": "the model's answer was not finished by its deadline",
    "muted": "the bot was muted",
    "safety": "the question may have been about a crisis, so a vetted answer was sent",
    "empty": "the model's answer contained nothing that could be shown",
    "degraded": "the slot had no model",
    "nearest": "the model was unsure, late or had nothing to show: the nearest known question's answer was sent",
    "unsure": "the model was unsure, and no known question was near enough",
}
_WHY_UNKNOWN: Final = "another release sent it, for a reason that this release does not know"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token id and how the vocabulary spells it; None if no vocabulary is available."""

    token_id: int
    piece: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change to the text on its way from the tokens to the answer."""

    rule: ExplanationRule
    why: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChoice:
    """A token that could be chosen, and its probability among the allowed tokens."""

    token_id: int
    piece: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a replay.

    Attributes:
        number: position of the step, from 1.
        chosen: the token that the replay chose.
        choices: the most probable tokens, best first.
        stored: the turn's token at this position, if all earlier tokens are equal; else None.
    """

    number: int
    chosen: TokenChoice
    choices: tuple[TokenChoice, ...]
    stored: TokenChoice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first step at which turn and replay differ.

    Attributes:
        step: number of the step.
        stored: the turn's token.
        replayed: the replay's token.
        margin: probability of ``replayed`` minus that of ``stored``. Rounding in another engine can explain a small
            margin.
    """

    step: int
    stored: TokenChoice
    replayed: TokenChoice
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The version's answer to the prompt in the reference engine.

    Attributes:
        max_new_tokens: the limit of new tokens that the replay ran with.
        stop_reason: ``end`` or ``length``.
        answer: the answer as a player would see it; may be empty.
        steps: one per token, including the end token.
    """

    max_new_tokens: int
    stop_reason: str
    answer: str
    steps: tuple[Step, ...]

    @property
    def compared(self) -> int:
        """Number of steps compared with the turn's tokens, up to and including the first difference."""
        return sum(step.stored is not None for step in self.steps)

    @property
    def difference(self) -> Difference | None:
        """The first difference; None if turn and replay agree or the turn has no tokens."""
        for step in self.steps:
            if step.stored is not None and step.stored.token_id != step.chosen.token_id:
                margin = step.chosen.probability - step.stored.probability
                return Difference(step=step.number, stored=step.stored, replayed=step.chosen, margin=margin)
        return None

    @property
    def verdict(self) -> ReplayVerdict:
        """The result of comparing turn and replay."""
        if not self.compared:
            return "nothing_to_compare"
        return "agrees" if self.difference is None else "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything known about one turn.

    Attributes:
        turn: the turn as stored.
        found_in: where the turn was found.
        prompt: tokens of the stored question; empty without a model or a text.
        exact_prompt: whether the model certainly read exactly this prompt; None without a prompt.
        answer_tokens: the turn's answer tokens.
        changes: the changes between the tokens and the answer, in order.
        replay: the replay; None if it could not run.
        lineage: where the answer came from.
        notes: sentences for the reader: what is missing, and why.
    """

    turn: Turn
    found_in: str
    prompt: tuple[Token, ...] = ()
    exact_prompt: bool | None = None
    answer_tokens: tuple[Token, ...] = ()
    changes: tuple[Change, ...] = ()
    replay: Replay | None = None
    lineage: Lineage | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return plain values for JSON; texts that were not stored are null."""
        turn, stored = self.turn, self.turn.consent_store
        facts = ("turn_id", "question_id", "bot", "sender", "player_id", "session_id", "source", "worker")
        times = ("sent_at", "received_at", "answered_at", "latency_ms")
        return {
            **{name: getattr(turn, name) for name in facts},
            "found_in": self.found_in,
            "version": turn.model_version,
            "epoch": turn.epoch,
            "consent": {"store": turn.consent_store, "train": turn.consent_train},
            "question": turn.text if stored else None,
            "answer": turn.answer if stored else None,
            "fallback": turn.fallback,
            "decoding": dict(turn.decoding),
            **{name: getattr(turn, name) for name in times},
            "prompt_tokens": turn.prompt_tokens,
            "prompt": [asdict(token) for token in self.prompt],
            "exact_prompt": self.exact_prompt,
            "answer_tokens": [asdict(token) for token in self.answer_tokens],
            "changes": [asdict(change) for change in self.changes],
            "replay": None if self.replay is None else _replay_json(self.replay),
            "lineage": None if self.lineage is None else self.lineage.as_json(),
            "notes": list(self.notes),
        }


def answer_changes(spelled: str, text: str, answer: str, max_chars: int) -> tuple[Change, ...]:
    """Return which rules turned the tokens' text into the stored answer.

    Args:
        spelled: text of all tokens, with control tokens written out.
        text: text of the tokens that are not control tokens.
        answer: the stored answer.
        max_chars: maximum length of an answer, in characters.

    Returns:
        The rules that changed something, in order; empty if the answer equals the tokens' text.
    """
    steps: list[tuple[ExplanationRule, str]] = [("control_token_ids", text)]
    for rule, after in answer_steps(text, max_chars):
        steps.append((rule, after))
    last = steps[-1][1]
    # If the answer was masked, the turn has no tokens, so ``spelled`` is empty.
    is_masked = answer in (mask_pii(last)[0], mask_names(last)) or (not spelled and masked_count(answer) > 0)
    steps.append(("masked" if is_masked else "unexplained", answer))
    return _changes(spelled, steps)


def fallback_changes(turn: Turn) -> tuple[Change, ...]:
    """Return the change that replaced the model's answer with a fallback; empty if there was none."""
    if turn.fallback is None:
        return ()
    why = next((why for name, why in WHY_BY_FALLBACK.items() if name == turn.fallback), _WHY_UNKNOWN)
    return (Change(rule="fallback", why=why, before="", after=turn.answer),)


def _changes(before: str, steps: Sequence[tuple[ExplanationRule, str]]) -> tuple[Change, ...]:
    found = []
    for rule, after in steps:
        if after != before:
            found.append(Change(rule=rule, why=WHY_BY_RULE[rule], before=before, after=after))
        before = after
    return tuple(found)


def _replay_json(replay: Replay) -> dict[str, object]:
    difference = replay.difference
    return {
        **asdict(replay),
        "verdict": replay.verdict,
        "compared": replay.compared,
        "difference": None if difference is None else asdict(difference),
    }
