"""The gate: each kind of bad candidate is refused by the rule that is there for it."""

from dataclasses import replace

import pytest

from kogpt2_chat.domain.gate.decision import decide, mean_difference, upper_bound
from kogpt2_chat.domain.gate.measurements import AnswerMetrics, EngineAgreement, GateThresholds, Measurements, PairedNll
from kogpt2_chat.domain.gate.page import decision_page

PROFILE = GateThresholds(
    name="kogpt2", gold_margin_nat=0.03, confidence=0.95, bootstrap_rounds=500, max_failure_share=0.005,
    must_pass_share=1.0, chrf_margin=1.0, diversity_share=0.95, latency_factor=1.1,
    engine_agreement=0.85, engine_nll_margin_nat=0.02,
)  # fmt: skip
SPOKEN = AnswerMetrics(
    answers=200, failures={}, leaks=0, must_passed=12, must_total=12, golden_passed=6, golden_total=12, chrf=30.0,
    distinct_1=0.6, distinct_2=0.9, entropy=5.0, p50_ms=40.0, p95_ms=60.0,
)  # fmt: skip


def slice_of(difference, examples=60, spread=0.01):
    opponent = [3.0 + 0.01 * place for place in range(examples)]
    candidate = [value + difference + spread * (-1) ** place for place, value in enumerate(opponent)]
    return PairedNll(candidate=candidate, opponent=opponent, clusters=[str(place) for place in range(examples)])


def figures(**changes):
    good = Measurements(
        bot="ChatbotA", version=2, opponent="champion 1", gold=slice_of(-0.01), taught=slice_of(-2.0, 12),
        candidate=SPOKEN, spoken_opponent=SPOKEN, retrieval_chrf=20.0, slices={"인사": 0.2},
    )  # fmt: skip
    return replace(good, **changes)


def refused_by(decision):
    return [reason.rule for reason in decision.reasons if reason.decisive and not reason.passed]


def test_a_good_candidate_passes_with_every_rule_shown():
    """Passing means that every decisive rule holds; each has a sentence, and the margins are printed."""
    decision = decide(figures(), PROFILE)
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
    """What was judged in fp32 is what players hear, within the profile's margins."""
    assert refused_by(decide(figures(engine=engine), PROFILE)) == refused


def test_what_is_only_shown_never_refuses():
    """Worse chrF, diversity, latency and slices do not decide yet."""
    poor = replace(SPOKEN, chrf=1.0, distinct_1=0.01, distinct_2=0.01, entropy=0.1, p95_ms=9000.0, golden_passed=0)
    decision = decide(figures(candidate=poor, slices={"인사": 9.0}, retrieval_chrf=0.5), PROFILE)
    assert decision.passed
    assert sum(not reason.passed for reason in decision.reasons) >= 6


def test_a_candidate_beats_the_nearest_known_answers_or_gives_way_to_them():
    """On every profile: answering with the nearest known answer needs no model at all."""
    behind = replace(SPOKEN, chrf=19.0)
    assert refused_by(decide(figures(candidate=behind), PROFILE)) == ["better_than_retrieval"]
    assert refused_by(decide(figures(candidate=behind, defers=True), PROFILE)) == []
    assert refused_by(decide(figures(candidate=replace(SPOKEN, chrf=20.0)), PROFILE)) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"must_passed": 11}, "must_pass"),
        ({"leaks": 1}, "no_leaks"),
        ({"failures": {"looping": 3}}, "few_looping"),
    ],
)
def test_conduct_is_judged_on_the_own_answers_and_on_what_is_heard(changes, rule):
    """Both must hold: neither may hide the other's faults."""
    bad = replace(SPOKEN, **changes)
    assert refused_by(decide(figures(candidate=SPOKEN, heard=bad), PROFILE)) == [f"heard_{rule}"]
    assert refused_by(decide(figures(candidate=bad, heard=SPOKEN), PROFILE)) == [rule]
    assert refused_by(decide(figures(candidate=SPOKEN, heard=SPOKEN), PROFILE)) == []


@pytest.mark.parametrize(
    ("name", "changes", "rule"),
    [
        ("poisoned: learned the new, forgot the old", {"gold": slice_of(0.4)}, "gold_not_worse"),
        ("learned nothing new", {"taught": slice_of(0.0, 12), "held_out": slice_of(0.0)}, "improves"),
        ("nothing to learn", {"taught": None}, "improves"),
        ("no gold set", {"gold": None}, "gold_not_worse"),
        ("collapsed: loops", {"candidate": replace(SPOKEN, failures={"looping": 30})}, "few_looping"),
        ("silent", {"candidate": replace(SPOKEN, failures={"empty": 2})}, "few_empty"),
        ("endless", {"candidate": replace(SPOKEN, failures={"cut": 2})}, "few_cut"),
        ("a parrot", {"candidate": replace(SPOKEN, failures={"copied": 2})}, "few_copied"),
        ("token leaking", {"candidate": replace(SPOKEN, leaks=1)}, "no_leaks"),
        ("forgot a must", {"candidate": replace(SPOKEN, must_passed=11)}, "must_pass"),
        ("does not load", {"load_error": "model.safetensors has SHA-256 …"}, "loads"),
    ],
)
def test_a_bad_candidate_is_refused_by_the_right_rule(name, changes, rule):
    """One fault, one rule; the refusal says what was measured."""
    decision = decide(figures(**changes), PROFILE)
    assert not decision.passed
    assert refused_by(decision) == [rule]
    assert len(decision.refusals()) == 1


def test_better_on_held_out_pairs_is_enough():
    """Nothing was taught, but human data improved."""
    assert decide(figures(taught=None, held_out=slice_of(-0.2)), PROFILE).passed


def test_an_uncertain_gain_is_no_gain():
    """The bound decides, not the mean."""
    wavering = slice_of(-0.05, examples=6, spread=1.0)
    assert mean_difference(wavering) < 0
    assert refused_by(decide(figures(taught=wavering), PROFILE)) == ["improves"]


def test_the_bootstrap_is_seeded_and_resamples_clusters():
    """The same figures give the same bound; examples of one cluster are not counted as independent."""
    free = slice_of(0.0, examples=40, spread=0.5)
    tied = replace(free, clusters=["even" if place % 2 else "odd" for place in range(40)])
    assert upper_bound(free, 0.95, 500, 1) == upper_bound(free, 0.95, 500, 1)
    assert upper_bound(tied, 0.95, 500, 1) > upper_bound(free, 0.95, 500, 1)


def test_the_page_escapes_everything():
    """Nothing measured or named can put markup on the page."""
    page = decision_page(decide(figures(opponent="<script>alert(1)</script>"), PROFILE))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "gold_margin_nat 0.03" in page
