"""Measure the likelihoods that both models assign to the same answers."""

from kogpt2_chat.domain.gate.likelihood import Likelihood
from kogpt2_chat.evaluation.trial import Trial


def measure(trial: Trial) -> Likelihood:
    """Measure both models on the gold pairs, the taught pairs and the held-out pairs."""
    pairs, gold = trial.evaluation_set, trial.gold_nll
    return Likelihood(
        gold=gold,
        taught=trial.paired_nll(pairs.taught),
        # For the small base, the gold pairs are also the held-out ones.
        held_out=gold if pairs.held_out is pairs.gold else trial.paired_nll(pairs.held_out),
    )
