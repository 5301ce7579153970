"""What can be said about where an answer came from: its tokens, what changed them, and how a replay compares.

Values and comparisons only. Knows neither where a turn was found nor how a model is run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from kogpt2_chat.domain.chat.prompt import answer_steps
from kogpt2_chat.domain.chat.turns import Fallback, Turn
from kogpt2_chat.domain.lake.searchable import without_people
from kogpt2_chat.domain.text.masking import mask_pii, masked_count

Rule = Literal[
    "control_token_ids", "unreadable_bytes", "normalised", "control_tokens", "cut", "masked", "fallback", "unexplained"
]
Verdict = Literal["agrees", "differs", "nothing_to_compare"]

WHY_BY_RULE: Final[Mapping[Rule, str]] = {
    "control_token_ids": "control tokens among the ids were left out",
    "unreadable_bytes": "bytes that make no character were removed",
    "normalised": "control and zero-width characters were removed, white space joined, letters composed (NFC)",
    "control_tokens": "the spelling of control tokens was removed",
    "cut": "the text was cut at the bound of an answer",
    "masked": "personal details were masked on the way into the lake",
    "unexplained": "the stored answer is not what today's rules make of these tokens: another release wrote it, or "
    "other bounds were set",
}
WHY_BY_FALLBACK: Final[Mapping[Fallback, str]] = {
    "timeout": "the model's answer was not finished by its deadline",
    "muted": "the bot was muted",
    "safety": "the question may have spoken of a crisis, and a vetted answer was given",
    "empty": "nothing could be shown of what the model said",
    "degraded": "the slot had no model",
    "nearest": "the model was unsure, late or silent: the nearest known question's answer was said",
    "unsure": "the model was unsure, and no known question was near enough",
}
_WHY_UNKNOWN: Final = "another release said it, for a reason that this one has no words for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token id with the vocabulary's own spelling of it; None where no vocabulary is at hand."""

    token_id: int
    piece: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that happened to the text between the tokens and the answer."""

    rule: Rule
    why: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A token that could have been chosen, and its probability among those that were allowed."""

    token_id: int
    piece: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a replay.

    Attributes:
        number: from 1.
        chosen: what the replay took.
        choices: the most probable ones, best first.
        stored: what the turn has here, as long as all before it is the same; else None.
    """

    number: int
    chosen: Choice
    choices: tuple[Choice, ...]
    stored: Choice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first step at which turn and replay part; a small margin is what another engine's rounding can turn."""

    step: int
    stored: Choice
    replayed: Choice
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the version says to the prompt in the reference engine.

    Attributes:
        max_new_tokens: the bound it ran under.
        stop_reason: ``end`` or ``length``.
        answer: as a player would see it; possibly empty.
        steps: one for each token, the end among them.
    """

    max_new_tokens: int
    stop_reason: str
    answer: str
    steps: tuple[Step, ...]

    @property
    def compared(self) -> int:
        """How many steps the turn has tokens for, up to the first that differs."""
        return sum(step.stored is not None for step in self.steps)

    @property
    def difference(self) -> Difference | None:
        """Where turn and replay part; None where they agree, or where the turn has no tokens."""
        for step in self.steps:
            if step.stored is not None and step.stored.token_id != step.chosen.token_id:
                margin = step.chosen.probability - step.stored.probability
                return Difference(step=step.number, stored=step.stored, replayed=step.chosen, margin=margin)
        return None

    @property
    def verdict(self) -> Verdict:
        """How turn and replay compare."""
        if not self.compared:
            return "nothing_to_compare"
        return "agrees" if self.difference is None else "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is known about a turn.

    Attributes:
        turn: as stored.
        found_in: where it was found.
        prompt: tokens of the stored question; empty without a model or a text.
        exact_prompt: whether that is surely what the model read; None without a prompt.
        answer_tokens: as the turn has them.
        changes: what happened between the tokens and the answer, in order.
        replay: None where there is nothing to run.
        notes: sentences for a person: what is missing, and why.
    """

    turn: Turn
    found_in: str
    prompt: tuple[Token, ...] = ()
    exact_prompt: bool | None = None
    answer_tokens: tuple[Token, ...] = ()
    changes: tuple[Change, ...] = ()
    replay: Replay | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Plain values; texts that were not stored are null."""
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
            "notes": list(self.notes),
        }


def answer_changes(spelled: str, text: str, answer: str, max_chars: int) -> tuple[Change, ...]:
    """Which rules made the answer out of the tokens' text.

    Args:
        spelled: text of all tokens, control tokens spelled out.
        text: text of the tokens that are no control tokens.
        answer: as stored.
        max_chars: bound of an answer.

    Returns:
        The rules that changed something, in order; none when the answer is the tokens' text as it is.
    """
    steps: list[tuple[Rule, str]] = [("control_token_ids", text)]
    for rule, after in answer_steps(text, max_chars):
        steps.append((rule, after))
    last = steps[-1][1]
    # Tokens that spell a detail are not kept.
    is_masked = answer in (mask_pii(last)[0], without_people(last)) or (not spelled and masked_count(answer) > 0)
    steps.append(("masked" if is_masked else "unexplained", answer))
    return _changes(spelled, steps)


def fallback_change(turn: Turn) -> tuple[Change, ...]:
    """Why a fixed notice stands in the answer's place; nothing where it does not."""
    if turn.fallback is None:
        return ()
    why = next((why for name, why in WHY_BY_FALLBACK.items() if name == turn.fallback), _WHY_UNKNOWN)
    return (Change(rule="fallback", why=why, before="", after=turn.answer),)


def _changes(before: str, steps: Sequence[tuple[Rule, str]]) -> tuple[Change, ...]:
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
