"""Render a gate decision as one HTML page. Every value is escaped."""

from html import escape
from typing import Final

from kogpt2_chat.domain.gate.block import Reason
from kogpt2_chat.domain.gate.decision import Decision

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.35rem .5rem;text-align:left;"
    "vertical-align:top}.no{color:#a00;font-weight:600}.yes{color:#060}.shown td{color:#555}"
)


def decision_page(decision: Decision) -> str:
    """Return the complete HTML page; it loads no external resources."""
    verdict = "passed" if decision.passed else "refused"
    title = f"{decision.bot} version {decision.version}: {verdict}"
    rows = "\n".join(_row(reason) for reason in decision.reasons)
    thresholds = ", ".join(
        f"{name} {getattr(decision.profile, name)}"
        for name in ("gold_margin_nat", "confidence", "max_failure_share", "must_pass_share")
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>Compared with {escape(decision.baseline)}, profile {escape(decision.profile.name)} "
        f"({escape(thresholds)}).</p>"
        "<table><thead><tr><th>Block</th><th>Rule</th><th>Passed</th><th>Blocking</th><th>Result</th></tr></thead>"
        f"<tbody>\n{rows}\n</tbody></table></body></html>\n"
    )


def _row(reason: Reason) -> str:
    passed = "yes" if reason.passed else "no"
    return (
        f'<tr class="{"" if reason.blocking else "shown"}">'
        f"<td>{escape(reason.block)}</td><td>{escape(reason.rule)}</td>"
        f'<td class="{passed}">{passed}</td><td>{"yes" if reason.blocking else "informational"}</td>'
        f"<td>{escape(reason.sentence)}</td></tr>"
    )
