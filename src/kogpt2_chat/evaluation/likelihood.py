"""Measure the likelihoods that both models assign to the same answers."""

from kogpt2_chat.domain.gate.likelihood import Likelihood
from kogpt2_chat.evaluation.trial import Trial


def measure(trial: Trial) -> Likelihood:
    """Measure both models on the gold pairs, the taught pairs and the held-out pairs."""
    return Likelihood(
        gold=trial.gold_nll,
        taught=trial.paired_nll(trial.evaluation_set.taught),
        held_out=trial.paired_nll(trial.evaluation_set.held_out),
    )
