"""The gate refuses each kind of bad candidate by the right rule."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kogpt2_chat.domain.gate.agreement import EngineAgreement
from kogpt2_chat.domain.gate.behaviour import AnswerFaults, Behaviour
from kogpt2_chat.domain.gate.block import Block, Case, Rule, Target
from kogpt2_chat.domain.gate.decision import Decision, decide
from kogpt2_chat.domain.gate.latency import Latency
from kogpt2_chat.domain.gate.likelihood import Likelihood, PairedNll, upper_bound
from kogpt2_chat.domain.gate.loading import Loading
from kogpt2_chat.domain.gate.page import decision_page
from kogpt2_chat.domain.gate.quality import AnswerQuality, Quality
from kogpt2_chat.domain.gate.retrieval import Retrieval
from kogpt2_chat.domain.gate.thresholds import GateThresholds
from kogpt2_chat.domain.gate.topics import TopicNll
from kogpt2_chat.errors import InvalidInput

STORED = Path(__file__).parents[1] / "fixtures" / "gate"
CASE = Case(
    bot="ChatbotA", version=2, baseline="champion 1", seed=20,
    thresholds=GateThresholds(
        name="kogpt2", gold_margin_nat=0.03, confidence=0.95, bootstrap_rounds=500, max_failure_share=0.005,
        must_pass_share=1.0, chrf_margin=1.0, diversity_share=0.95, latency_factor=1.1,
        engine_agreement=0.85, engine_nll_margin_nat=0.02,
    ),
)  # fmt: skip


def paired_nll(difference, examples=60, spread=0.01):
    baseline = [3.0 + 0.01 * index for index in range(examples)]
    candidate = [value + difference + spread * (-1) ** index for index, value in enumerate(baseline)]
    return PairedNll(candidate=candidate, baseline=baseline, clusters=[str(index) for index in range(examples)])


AGREEMENT = EngineAgreement(
    questions=200, same_answers=190, same_tokens=1900, tokens=2000, nll_reference=1.0, nll_engine=1.005
)
LIKELIHOOD = Likelihood(gold=paired_nll(-0.01), taught=paired_nll(-2.0, 12))
FAULTS = AnswerFaults(answers=200, failures={}, leaks=0, must_passed=12, must_total=12)
RETRIEVAL = Retrieval(chrf=30.0, nearest_chrf=20.0, defers=False, own_share=1.0)
QUALITY = AnswerQuality(golden_passed=6, golden_total=12, chrf=30.0, distinct_1=0.6, distinct_2=0.9, entropy=5.0)
GOOD = (
    Loading(), AGREEMENT, LIKELIHOOD, Behaviour(own=FAULTS, heard=FAULTS), RETRIEVAL,
    Quality(candidate=QUALITY, baseline=QUALITY), Latency(p50_ms=40.0, p95_ms=60.0, baseline_p95_ms=60.0),
    TopicNll({"인사": 0.02}),
)  # fmt: skip


def decide_with(*changed):
    """Decide on a good candidate, with some blocks replaced by others of their kind."""
    by_kind = {type(block): block for block in changed}
    return decide(CASE, [by_kind.get(type(block), block) for block in GOOD])


def refused_by(decision):
    return [reason.rule for reason in decision.reasons if reason.blocking and not reason.passed]


def test_a_good_candidate_passes_and_every_rule_is_reported():
    """A candidate passes if every blocking rule holds. Each reason has a sentence that states the threshold."""
    decision = decide_with()
    assert decision.passed
    assert decision.refusals() == []
    answers = ["few_empty", "few_cut", "few_looping", "few_copied", "no_leaks", "must_pass"]
    assert [reason.rule for reason in decision.reasons if reason.blocking] == [
        "loads", "engine_agreement", "engine_nll", "gold_not_worse", "improves", *answers,
        *(f"heard_{rule}" for rule in answers), "better_than_retrieval",
    ]  # fmt: skip
    assert all(reason.sentence for reason in decision.reasons)
    assert "+0.030" in next(reason.sentence for reason in decision.reasons if reason.rule == "gold_not_worse")
    assert decision.as_json()["profile"]["gold_margin_nat"] == 0.03
    assert decision.metrics()["gate_no_leaks"] == 0


def test_a_decision_equals_that_of_an_earlier_release():
    """Rules, order, values and sentences are unchanged, except that latency names the serving engine."""
    decision = decide_with(
        replace(LIKELIHOOD, held_out=paired_nll(0.05, 30)),
        Behaviour(own=replace(FAULTS, failures={"looping": 3}), heard=replace(FAULTS, failures={"cut": 1})),
        Retrieval(chrf=19.0, nearest_chrf=20.0, defers=True, own_share=0.75),
        Quality(candidate=replace(QUALITY, chrf=19.0), baseline=QUALITY),
        Latency(p50_ms=40.0, p95_ms=70.0, baseline_p95_ms=60.0),
        TopicNll({"인사": 0.2, "길": -0.1}),
    )
    before = Decision.from_json(
        (STORED / "decision-8853de1.json").read_text("utf-8").replace("reference engine in ms", "serving engine in ms")
    )
    assert replace(decision, reasons=tuple(replace(one, baseline=None) for one in decision.reasons)) == before


def test_a_reason_has_the_baselines_value_of_the_same_measure():
    """A difference from the baseline, what players hear, and a rule without a baseline have none."""
    theirs = replace(FAULTS, failures={"looping": 20}, must_passed=9, leaks=1)
    decision = decide_with(
        Behaviour(own=replace(FAULTS, failures={"looping": 1}), heard=FAULTS, baseline=theirs),
        Quality(candidate=QUALITY, baseline=replace(QUALITY, chrf=28.0, golden_passed=3)),
        Latency(p50_ms=40.0, p95_ms=60.0, baseline_p95_ms=80.0),
    )
    beside = {reason.rule: reason.baseline for reason in decision.reasons if reason.baseline is not None}
    assert beside == {
        "few_empty": 0.0, "few_cut": 0.0, "few_looping": 0.1, "few_copied": 0.0, "no_leaks": 1.0, "must_pass": 0.75,
        "golden_rest": 0.25, "chrf": 28.0, "distinct_1": 0.6, "distinct_2": 0.9, "entropy": 5.0, "p95_ms": 80.0,
    }  # fmt: skip


def test_every_comparison_says_which_is_better():
    """Lower NLL, faults and latency are better; higher shares and chrF are."""
    worse = replace(FAULTS, failures={"cut": 4}, must_passed=0, leaks=3)
    blocks = [
        Likelihood(gold=paired_nll(-0.5), taught=paired_nll(-0.5), held_out=paired_nll(-0.5)),
        Behaviour(own=FAULTS, heard=FAULTS, baseline=worse),
        Quality(candidate=replace(QUALITY, chrf=99.0), baseline=QUALITY),
        Latency(p50_ms=1.0, p95_ms=2.0, baseline_p95_ms=3.0),
    ]
    gains = {one.rule: one.gain for block in blocks for one in block.comparisons()}
    better = {
        "gold_not_worse",
        "better_on_taught",
        "better_on_held_out",
        "few_cut",
        "no_leaks",
        "must_pass",
        "chrf",
        "p95_ms",
    }
    assert {rule for rule, gain in gains.items() if gain > 0} == better
    assert min(gains.values()) == 0
    assert Behaviour(own=FAULTS, heard=FAULTS).comparisons() == []


@dataclass(frozen=True)
class Politeness(Block):
    """A block that is not part of the gate."""

    impolite: int

    def reasons(self, case, /):
        return [
            Rule("polite", "conduct").at_most(float(self.impolite), 0.0, f"{self.impolite} impolite ({case.bot})"),
            Target("warmth", "conduct", "warmth").at_least(0.0, 0.5),
        ]


def test_a_block_can_be_added_without_a_change_of_decide():
    """Its blocking rules decide, its targets are informational, and it has no metrics unless it names some."""
    assert decide(CASE, [*GOOD, Politeness(0)]).passed
    decision = decide(CASE, [*GOOD, Politeness(2)])
    assert decision.refusals() == ["2 impolite (ChatbotA)"]
    assert decision.reasons[-1].sentence == "warmth 0.000 (target at least 0.500, informational)"
    assert "<td>conduct</td><td>polite</td>" in decision_page(decision)
    assert Politeness(2).metrics() == {}


@pytest.mark.parametrize(
    ("engine", "refused"),
    [
        (AGREEMENT, []),
        (replace(AGREEMENT, same_answers=160), ["engine_agreement"]),
        (replace(AGREEMENT, nll_engine=1.05), ["engine_nll"]),
        (replace(AGREEMENT, nll_engine=0.9), []),
    ],
)
def test_a_version_that_int8_changes_too_much_is_refused(engine, refused):
    """The serving engine must match the evaluated fp32 weights within the profile's thresholds."""
    assert refused_by(decide_with(engine)) == refused


def test_informational_rules_never_refuse():
    """Worse chrF, diversity, latency and topics do not change the decision."""
    poor = AnswerQuality(golden_passed=0, golden_total=12, chrf=1.0, distinct_1=0.01, distinct_2=0.01, entropy=0.1)
    decision = decide_with(
        Quality(candidate=poor, baseline=QUALITY),
        Latency(p50_ms=40.0, p95_ms=9000.0, baseline_p95_ms=60.0),
        TopicNll({"인사": 9.0}),
    )
    assert decision.passed
    assert [reason.rule for reason in decision.reasons if not reason.passed] == [
        "golden_rest", "chrf", "distinct_1", "distinct_2", "entropy", "p95_ms", "worst_slice",
    ]  # fmt: skip


def test_a_base_sets_no_targets_for_answers():
    """Its answers are meaningless, so only the rule without a baseline remains."""
    blocks = (Quality(candidate=QUALITY), Latency(p50_ms=40.0, p95_ms=60.0))
    assert [reason.rule for block in blocks for reason in block.reasons(CASE)] == ["golden_rest"]


def test_a_candidate_is_better_than_the_nearest_known_answers_or_defers_to_them():
    """A model that is worse than retrieval, which needs no model, must defer to it."""
    worse = replace(RETRIEVAL, chrf=19.0)
    assert refused_by(decide_with(worse)) == ["better_than_retrieval"]
    assert refused_by(decide_with(replace(worse, defers=True))) == []
    assert refused_by(decide_with(replace(RETRIEVAL, chrf=20.0))) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"must_passed": 11}, "must_pass"),
        ({"leaks": 1}, "no_leaks"),
        ({"failures": {"looping": 3}}, "few_looping"),
    ],
)
def test_behaviour_rules_apply_to_own_answers_and_to_served_answers(changes, rule):
    """Both sets of answers must pass, so that fallbacks cannot hide faults of the model."""
    bad = replace(FAULTS, **changes)
    assert refused_by(decide_with(Behaviour(own=FAULTS, heard=bad))) == [f"heard_{rule}"]
    assert refused_by(decide_with(Behaviour(own=bad, heard=FAULTS))) == [rule]


def own_faults(**changes):
    return Behaviour(own=replace(FAULTS, **changes), heard=FAULTS)


@pytest.mark.parametrize(
    ("name", "block", "rule"),
    [
        ("learned new pairs, forgot old ones", replace(LIKELIHOOD, gold=paired_nll(0.4)), "gold_not_worse"),
        (
            "learned nothing new",
            replace(LIKELIHOOD, taught=paired_nll(0.0, 12), held_out=paired_nll(0.0)),
            "improves",
        ),
        ("nothing to learn", replace(LIKELIHOOD, taught=None), "improves"),
        ("no gold set", replace(LIKELIHOOD, gold=None), "gold_not_worse"),
        ("no answers", own_faults(answers=0), "answers"),
        ("repeats itself", own_faults(failures={"looping": 30}), "few_looping"),
        ("empty answers", own_faults(failures={"empty": 2}), "few_empty"),
        ("answers without an end", own_faults(failures={"cut": 2}), "few_cut"),
        ("copies the question", own_faults(failures={"copied": 2}), "few_copied"),
        ("leaks a control token", own_faults(leaks=1), "no_leaks"),
        ("misses a must-pass question", own_faults(must_passed=11), "must_pass"),
        ("does not load", Loading("model.safetensors has SHA-256 …"), "loads"),
    ],
)
def test_a_bad_candidate_is_refused_by_the_right_rule(name, block, rule):
    """One fault fails exactly one blocking rule."""
    decision = decide_with(block)
    assert not decision.passed
    assert refused_by(decision) == [rule]
    assert len(decision.refusals()) == 1


def test_better_on_held_out_pairs_is_enough():
    """Without taught pairs, an improvement on held-out human pairs is sufficient."""
    assert decide_with(replace(LIKELIHOOD, taught=None, held_out=paired_nll(-0.2))).passed


def test_an_uncertain_improvement_does_not_count():
    """The upper confidence bound decides, not the mean."""
    noisy = paired_nll(-0.05, examples=6, spread=1.0)
    assert noisy.difference < 0
    assert refused_by(decide_with(replace(LIKELIHOOD, taught=noisy))) == ["improves"]


def test_the_bootstrap_is_seeded_and_resamples_clusters():
    """Equal input yields an equal bound. Examples of one cluster do not count as independent."""
    independent = paired_nll(0.0, examples=40, spread=0.5)
    clustered = replace(independent, clusters=["even" if index % 2 else "odd" for index in range(40)])
    assert upper_bound(independent, 0.95, 500, 1) == upper_bound(independent, 0.95, 500, 1)
    assert upper_bound(clustered, 0.95, 500, 1) > upper_bound(independent, 0.95, 500, 1)


def test_metrics_have_the_names_by_which_versions_are_compared():
    """Runs of earlier releases have the same metrics, so versions stay comparable in MLflow."""
    metrics = {}
    for block in (*GOOD, Likelihood(held_out=paired_nll(0.5, 2, spread=0.0))):
        metrics |= block.metrics()
    assert set(metrics) == {
        "gold_nll", "gold_nll_opponent", "taught_nll", "taught_nll_opponent", "held_out_nll", "held_out_nll_opponent",
        "distinct_1", "distinct_2", "entropy", "golden_share",
        "answer_p50_ms", "answer_p95_ms", "chrf", "engine_same_answers", "engine_same_tokens", "engine_nll_difference",
    }  # fmt: skip
    assert metrics["held_out_nll"] == pytest.approx(3.505)
    assert metrics["held_out_nll_opponent"] == pytest.approx(3.005)
    assert (metrics["answer_p50_ms"], metrics["answer_p95_ms"]) == (40.0, 60.0)


def test_a_decision_is_read_as_it_was_stored():
    """The format has a version number. Fields of later releases are ignored."""
    decision = decide_with(own_faults(leaks=1))
    body = decision.as_json()
    assert body["v"] == 1
    assert Decision.from_json(json.dumps(body)) == decision
    names = ["rule", "block", "figure", "bound", "passed", "decisive", "sentence", "baseline"]
    assert list(body["reasons"][0]) == names
    assert [reason["rule"] for reason in body["reasons"] if reason["baseline"] is not None]
    assert body["opponent"] == "champion 1"
    later = {**body, "at": "2027", "reasons": [{**reason, "hint": "…"} for reason in body["reasons"]]}
    assert Decision.from_json(json.dumps(later)) == decision


def test_a_decision_of_an_earlier_release_is_read():
    """It has the same fields, but no version number."""
    text = (STORED / "decision-e141767.json").read_text("utf-8")
    assert "v" not in json.loads(text)
    decision = Decision.from_json(text)
    assert (decision.bot, decision.version, decision.baseline, decision.passed) == ("ChatbotA", 1, "base", False)
    assert decision.profile.engine_agreement == 0.9
    assert refused_by(decision) == ["engine_agreement"]
    assert "engine_agreement" in decision_page(decision)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 2}', '{"v": 1, "bot": "ChatbotA"}'])
def test_other_text_is_refused_as_a_decision(text):
    """This includes other JSON, a later format and an incomplete decision."""
    with pytest.raises(InvalidInput, match="decision"):
        Decision.from_json(text)


def test_the_page_escapes_every_value():
    """No value in a decision can add markup to the page."""
    page = decision_page(decide(replace(CASE, baseline="<script>alert(1)</script>"), GOOD))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "gold_margin_nat 0.03" in page
