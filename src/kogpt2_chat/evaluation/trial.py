"""A candidate and its baseline, loaded for evaluation, and what several blocks of the gate measure on them.

Each measurement is made once, when a block first needs it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from kogpt2_chat.domain.chat.prompt import has_control_token
from kogpt2_chat.domain.chat.unsure import unsure_answer
from kogpt2_chat.domain.gate.evaluation_set import EvaluationSet
from kogpt2_chat.domain.gate.likelihood import PairedNll
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.answers import Answer, generate_answers, generate_reference_answers
from kogpt2_chat.inference.loading import ServedBot, load_served, make_engine
from kogpt2_chat.inference.uncertain import WhenUnsure, choose_answer, when_unsure
from kogpt2_chat.network.batches import make_examples
from kogpt2_chat.network.load import LoadedBot, load_bot
from kogpt2_chat.network.network import nll_by_example
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedVersion:
    """A version on both engines.

    Attributes:
        reference: on the reference engine, for its own answers and the likelihoods.
        served: on the serving engine, for the answers that players would get, and for the latency.
    """

    reference: LoadedBot
    served: ServedBot


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The model that the candidate is compared with.

    Attributes:
        name: for reasons and pages: ``base``, or for example ``champion 3``.
        reference: on the reference engine. It must have the candidate's tokenizer, because their NLL is compared.
        served: on the serving engine; None if it is a base. A base is not trained as this bot: its likelihoods are a
            useful baseline, but its answers are meaningless.
    """

    name: str
    reference: LoadedBot
    served: ServedBot | None = None


def load_version(folder: Path, settings: Settings, label: str) -> EvaluatedVersion:
    """Verify a version's folder and load it for both engines.

    The worker loads versions with the same function, and also compiles a second graph for one core. It uses that graph
    only while several bots answer at once; the gate evaluates one bot at a time.

    Args:
        folder: the version's files.
        settings: limits and threads.
        label: the name that the loaded models report.

    Returns:
        The version.

    Raises:
        CheckpointCorrupt: a file is missing, does not have the hash on the card, or cannot be loaded.
    """
    return EvaluatedVersion(reference=load_bot(folder, settings, label), served=load_served(folder, settings, label))


@dataclass(frozen=True, kw_only=True)  # slots would make cached properties impossible
class Trial:
    """The models and the set that they are evaluated on.

    Attributes:
        bot: the bot's id.
        candidate: the candidate.
        baseline: what it is compared with.
        evaluation_set: the pairs and questions.
        settings: limits of the engines.
        progress: called with a line for each part of the measurement.
    """

    bot: str
    candidate: EvaluatedVersion
    baseline: Baseline
    evaluation_set: EvaluationSet
    settings: Settings
    progress: Callable[[str], None] = lambda _: None

    @cached_property
    def questions(self) -> list[str]:
        """Every question whose answer is evaluated."""
        return self.evaluation_set.questions()

    @cached_property
    def choice(self) -> WhenUnsure:
        """What the bot uses if the candidate is unsure."""
        return when_unsure(self.settings, self.bot, small=self.candidate.reference.small)

    @cached_property
    def own_answers(self) -> list[Answer]:
        """The candidate's own answers on the reference engine."""
        self.progress(f"generating the candidate's answers to {len(self.questions)} questions")
        return self._reference_answers(self.candidate.reference)

    @cached_property
    def served_answers(self) -> list[Answer]:
        """The candidate's own answers on the serving engine."""
        self.progress("generating its answers on the serving engine")
        return generate_answers(make_engine(self.settings), self.candidate.served, self.questions)

    @cached_property
    def heard_answers(self) -> list[Answer]:
        """The answers that players would get: unlikely ones of the serving engine are replaced as in the worker."""
        return [_heard(self.bot, self.candidate.served, answer, self.choice) for answer in self.served_answers]

    @cached_property
    def baseline_answers(self) -> list[Answer] | None:
        """The baseline's own answers on the reference engine; None if it is a base."""
        if self.baseline.served is None:
            return None
        self.progress(f"generating the answers of {self.baseline.name}")
        return self._reference_answers(self.baseline.reference)

    @cached_property
    def gold_nll(self) -> PairedNll | None:
        """The NLL of both models on all gold pairs."""
        self.progress("measuring answer likelihoods")
        return self.paired_nll(self.evaluation_set.gold)

    def paired_nll(self, pairs: Sequence[Pair]) -> PairedNll | None:
        """Measure the NLL of both models on the same pairs; None without pairs."""
        if not pairs:
            return None
        return PairedNll(
            candidate=self._nll(self.candidate.reference, pairs),
            baseline=self._nll(self.baseline.reference, pairs),
            clusters=[pair.cluster or str(index) for index, pair in enumerate(pairs)],
        )

    def _nll(self, bot: LoadedBot, pairs: Sequence[Pair]) -> list[float]:
        limits = (bot.max_prompt_tokens, self.settings.model.max_new_tokens)
        return nll_by_example(bot.network, make_examples(pairs, bot.tokenizer, *limits, bot.first_ids))

    def _reference_answers(self, bot: LoadedBot) -> list[Answer]:
        # Control tokens are not suppressed: the gate counts the answers that contain one.
        return generate_reference_answers(bot, self.questions, self.settings, suppress_control=False)


def _heard(name: str, bot: ServedBot, answer: Answer, choice: WhenUnsure) -> Answer:
    """Return the answer, or what replaces it; a replacement has the stop reason ``end``."""
    who, found = choose_answer(bot.uncertainty, choice, answer.logprob, answer.question)
    if who == "model":
        return answer
    text = found.known.answer if found else unsure_answer(name, answer.question)
    return replace(answer, text=text, leaked=has_control_token(text), stop_reason="end", is_own=False)
