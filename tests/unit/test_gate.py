"""The gate refuses each kind of bad candidate by the rule made for it."""

from dataclasses import replace

import pytest

from kogpt2_chat.domain.gate.decision import decide, mean_difference, upper_bound
from kogpt2_chat.domain.gate.measurements import AnswerMetrics, EngineAgreement, GateThresholds, Measurements, PairedNll
from kogpt2_chat.domain.gate.page import decision_page

THRESHOLDS = GateThresholds(
    name="kogpt2", gold_margin_nat=0.03, confidence=0.95, bootstrap_rounds=500, max_failure_share=0.005,
    must_pass_share=1.0, chrf_margin=1.0, diversity_share=0.95, latency_factor=1.1,
    engine_agreement=0.85, engine_nll_margin_nat=0.02,
)  # fmt: skip
GOOD_ANSWERS = AnswerMetrics(
    answers=200, failures={}, leaks=0, must_passed=12, must_total=12, golden_passed=6, golden_total=12, chrf=30.0,
    distinct_1=0.6, distinct_2=0.9, entropy=5.0, p50_ms=40.0, p95_ms=60.0,
)  # fmt: skip


def paired_nll(difference, examples=60, spread=0.01):
    baseline = [3.0 + 0.01 * index for index in range(examples)]
    candidate = [value + difference + spread * (-1) ** index for index, value in enumerate(baseline)]
    return PairedNll(candidate=candidate, opponent=baseline, clusters=[str(index) for index in range(examples)])


def measurements(**changes):
    good = Measurements(
        bot="ChatbotA", version=2, opponent="champion 1", gold=paired_nll(-0.01), taught=paired_nll(-2.0, 12),
        candidate=GOOD_ANSWERS, spoken_opponent=GOOD_ANSWERS, retrieval_chrf=20.0, slices={"인사": 0.2},
    )  # fmt: skip
    return replace(good, **changes)


def refused_by(decision):
    return [reason.rule for reason in decision.reasons if reason.decisive and not reason.passed]


def test_a_good_candidate_passes_and_every_rule_is_reported():
    """A candidate passes if every blocking rule holds. Each reason has a sentence that states the threshold."""
    decision = decide(measurements(), THRESHOLDS)
    assert decision.passed
    assert decision.refusals() == []
    assert {"loads", "gold_not_worse", "improves", "few_empty", "few_cut", "few_looping", "few_copied", "no_leaks",
            "must_pass", "better_than_retrieval"} == {reason.rule for reason in decision.reasons if reason.decisive}  # fmt: skip
    assert all(reason.sentence for reason in decision.reasons)
    assert "+0.030" in next(reason.sentence for reason in decision.reasons if reason.rule == "gold_not_worse")
    assert decision.as_json()["profile"]["gold_margin_nat"] == 0.03


AGREEMENT = EngineAgreement(
    questions=200, same_answers=190, same_tokens=1900, tokens=2000, nll_reference=1.0, nll_engine=1.005
)


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
    assert refused_by(decide(measurements(engine=engine), THRESHOLDS)) == refused


def test_informational_rules_never_refuse():
    """Worse chrF, diversity, latency and slices do not change the decision."""
    poor = replace(
        GOOD_ANSWERS, chrf=1.0, distinct_1=0.01, distinct_2=0.01, entropy=0.1, p95_ms=9000.0, golden_passed=0
    )
    decision = decide(measurements(candidate=poor, slices={"인사": 9.0}, retrieval_chrf=0.5), THRESHOLDS)
    assert decision.passed
    assert sum(not reason.passed for reason in decision.reasons) >= 6


def test_a_candidate_is_better_than_the_nearest_known_answers_or_defers_to_them():
    """A model that is worse than retrieval, which needs no model, must defer to it."""
    worse = replace(GOOD_ANSWERS, chrf=19.0)
    assert refused_by(decide(measurements(candidate=worse), THRESHOLDS)) == ["better_than_retrieval"]
    assert refused_by(decide(measurements(candidate=worse, defers=True), THRESHOLDS)) == []
    assert refused_by(decide(measurements(candidate=replace(GOOD_ANSWERS, chrf=20.0)), THRESHOLDS)) == []


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
    bad = replace(GOOD_ANSWERS, **changes)
    assert refused_by(decide(measurements(candidate=GOOD_ANSWERS, heard=bad), THRESHOLDS)) == [f"heard_{rule}"]
    assert refused_by(decide(measurements(candidate=bad, heard=GOOD_ANSWERS), THRESHOLDS)) == [rule]
    assert refused_by(decide(measurements(candidate=GOOD_ANSWERS, heard=GOOD_ANSWERS), THRESHOLDS)) == []


@pytest.mark.parametrize(
    ("name", "changes", "rule"),
    [
        ("learned new pairs, forgot old ones", {"gold": paired_nll(0.4)}, "gold_not_worse"),
        ("learned nothing new", {"taught": paired_nll(0.0, 12), "held_out": paired_nll(0.0)}, "improves"),
        ("nothing to learn", {"taught": None}, "improves"),
        ("no gold set", {"gold": None}, "gold_not_worse"),
        ("repeats itself", {"candidate": replace(GOOD_ANSWERS, failures={"looping": 30})}, "few_looping"),
        ("empty answers", {"candidate": replace(GOOD_ANSWERS, failures={"empty": 2})}, "few_empty"),
        ("answers without an end", {"candidate": replace(GOOD_ANSWERS, failures={"cut": 2})}, "few_cut"),
        ("copies the question", {"candidate": replace(GOOD_ANSWERS, failures={"copied": 2})}, "few_copied"),
        ("leaks a control token", {"candidate": replace(GOOD_ANSWERS, leaks=1)}, "no_leaks"),
        ("misses a must-pass question", {"candidate": replace(GOOD_ANSWERS, must_passed=11)}, "must_pass"),
        ("does not load", {"load_error": "model.safetensors has SHA-256 …"}, "loads"),
    ],
)
def test_a_bad_candidate_is_refused_by_the_right_rule(name, changes, rule):
    """One fault fails exactly one blocking rule."""
    decision = decide(measurements(**changes), THRESHOLDS)
    assert not decision.passed
    assert refused_by(decision) == [rule]
    assert len(decision.refusals()) == 1


def test_better_on_held_out_pairs_is_enough():
    """Without taught pairs, an improvement on held-out human pairs is sufficient."""
    assert decide(measurements(taught=None, held_out=paired_nll(-0.2)), THRESHOLDS).passed


def test_an_uncertain_improvement_does_not_count():
    """The upper confidence bound decides, not the mean."""
    noisy = paired_nll(-0.05, examples=6, spread=1.0)
    assert mean_difference(noisy) < 0
    assert refused_by(decide(measurements(taught=noisy), THRESHOLDS)) == ["improves"]


def test_the_bootstrap_is_seeded_and_resamples_clusters():
    """Equal input yields an equal bound. Examples of one cluster do not count as independent."""
    independent = paired_nll(0.0, examples=40, spread=0.5)
    clustered = replace(independent, clusters=["even" if index % 2 else "odd" for index in range(40)])
    assert upper_bound(independent, 0.95, 500, 1) == upper_bound(independent, 0.95, 500, 1)
    assert upper_bound(clustered, 0.95, 500, 1) > upper_bound(independent, 0.95, 500, 1)


def test_the_page_escapes_every_value():
    """No value in a decision can add markup to the page."""
    page = decision_page(decide(measurements(opponent="<script>alert(1)</script>"), THRESHOLDS))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "gold_margin_nat 0.03" in page
