"""The gate's decision on a candidate, with its reasons, and the format in which it is stored.

The decision is a pure function of the blocks' measurements and the thresholds of a profile. Every blocking rule must
hold; all other rules are informational.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final, Self

from kogpt2_chat.domain.gate.block import Block, Case, Reason
from kogpt2_chat.domain.gate.thresholds import GateThresholds
from kogpt2_chat.errors import InvalidInput

_FORMAT: Final = 1
_JSON_NAMES: Final = MappingProxyType({"value": "figure", "threshold": "bound", "blocking": "decisive"})
"""JSON names of the fields of a reason that have another name in format 1, which calls the baseline ``opponent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the candidate passed the gate, and why.

    Attributes:
        bot: the bot.
        version: the candidate's version.
        baseline: name of what the candidate is compared with.
        profile: the thresholds that were applied.
        passed: whether every blocking rule holds.
        reasons: the result of each rule, in the order of the rules.
        v: version of the JSON format. Decisions of releases before this field have the same format.
    """

    bot: str
    version: int
    baseline: str
    profile: GateThresholds
    passed: bool
    reasons: tuple[Reason, ...]
    v: int = _FORMAT

    def refusals(self) -> list[str]:
        """Return the sentences of the blocking rules that do not hold."""
        return [reason.sentence for reason in self.reasons if reason.blocking and not reason.passed]

    def metrics(self) -> dict[str, float]:
        """Return the value of each rule, and whether all blocking rules hold (1 or 0), by metric name."""
        return {f"gate_{reason.rule}": reason.value for reason in self.reasons} | {"gate_passed": float(self.passed)}

    def as_json(self) -> dict[str, object]:
        """Return the decision as plain values for JSON."""
        return {
            "v": self.v,
            "bot": self.bot,
            "version": self.version,
            "opponent": self.baseline,
            "profile": asdict(self.profile),
            "passed": self.passed,
            "reasons": [_reason_as_json(reason) for reason in self.reasons],
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a stored decision, also of a release that stored no ``v``; unknown fields are ignored.

        Args:
            text: the content of ``decision.json``.

        Returns:
            The decision.

        Raises:
            InvalidInput: not a decision, or of a format that this release does not know.
        """
        try:
            body: dict[str, Any] = json.loads(text)
            v = body.get("v", _FORMAT)
            if v != _FORMAT:
                raise InvalidInput(f"the decision has format {v!r}, this release reads {_FORMAT}: use a newer release")
            return cls(
                bot=str(body["bot"]),
                version=int(body["version"]),
                baseline=str(body["opponent"]),
                profile=_thresholds(body["profile"]),
                passed=bool(body["passed"]),
                reasons=tuple(map(_reason_from_json, body["reasons"])),
            )
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput(f"not a decision of the gate: {error!r}: evaluate the version again") from error


def decide(case: Case, blocks: Iterable[Block]) -> Decision:
    """Apply the rules of all blocks.

    Args:
        case: what is decided on, and the thresholds.
        blocks: the measurements, in the order of the reasons.

    Returns:
        The decision.
    """
    reasons = tuple(reason for block in blocks for reason in _compared(block, case))
    return Decision(
        bot=case.bot,
        version=case.version,
        baseline=case.baseline,
        profile=case.thresholds,
        passed=all(reason.passed for reason in reasons if reason.blocking),
        reasons=reasons,
    )


def _compared(block: Block, case: Case) -> list[Reason]:
    """Return a block's reasons, with the baseline's value where it was measured in the same way."""
    beside = {(one.rule, one.value): one.baseline for one in block.comparisons()}
    return [replace(reason, baseline=beside.get((reason.rule, reason.value))) for reason in block.reasons(case)]


def _thresholds(body: dict[str, Any]) -> GateThresholds:
    names = {field.name for field in fields(GateThresholds)}
    return GateThresholds(**{name: value for name, value in body.items() if name in names})


def _reason_as_json(reason: Reason) -> dict[str, object]:
    return {_JSON_NAMES.get(name, name): value for name, value in asdict(reason).items()}


def _reason_from_json(body: dict[str, Any]) -> Reason:
    baseline = body.get("baseline")  # optional: earlier releases did not store it
    names = [field.name for field in fields(Reason) if field.name != "baseline"]
    return Reason(
        **{name: body[_JSON_NAMES.get(name, name)] for name in names},
        baseline=None if baseline is None else float(baseline),
    )
