"""Measure a candidate and its baseline for the gate, which decides.

The gate's measurements name the baseline ``opponent``.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from kogpt2_chat.corpora.shipped import GoldenQuestion
from kogpt2_chat.domain.chat.prompt import has_control_token
from kogpt2_chat.domain.chat.unsure import unsure_answer
from kogpt2_chat.domain.gate import measurements as gate
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.agreement import compare
from kogpt2_chat.evaluation.answers import (
    Answer,
    distinct,
    entropy,
    generate_answers,
    generate_reference_answers,
    percentile,
    time_single_answers,
)
from kogpt2_chat.inference.loading import ServedBot, make_engine
from kogpt2_chat.inference.nearest import NearestQuestions
from kogpt2_chat.inference.uncertain import Choice, choose, known_pairs, speaker
from kogpt2_chat.network.batches import make_examples
from kogpt2_chat.network.load import LoadedBot
from kogpt2_chat.network.network import nll_by_example
from kogpt2_chat.settings import Settings

_SEEN_QUESTIONS: Final = 60
_GOLD_QUESTIONS: Final = 100
_TAUGHT_QUESTIONS: Final = 100
_TIMED_QUESTIONS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """The pairs and questions that both models are evaluated on.

    Attributes:
        gold: the frozen evaluation pairs.
        golden: questions with words of which a right answer contains one.
        seen: pairs that the candidate learned.
        taught: pairs that the candidate learned and the baseline did not: those taught by players, or, if the baseline
            is a base, a sample of all.
        held_out: pairs written by people that neither model learned.
    """

    gold: Sequence[Pair]
    golden: Sequence[GoldenQuestion]
    seen: Sequence[Pair]
    taught: Sequence[Pair]
    held_out: Sequence[Pair]

    def questions(self) -> list[str]:
        """Return every question whose answer is evaluated, without duplicates."""
        return list(dict.fromkeys([*(pair.question for pair in self.sampled_gold()), *self.learned_questions()]))

    def sampled_gold(self) -> list[Pair]:
        """Return the sample of gold pairs whose questions are asked; likelihoods are measured on all gold pairs."""
        chosen = list(self.gold)
        random.Random(1).shuffle(chosen)  # noqa: S311 - a sample, not secrets
        return chosen[:_GOLD_QUESTIONS]

    def learned_questions(self) -> list[str]:
        """Return the questions whose answers the candidate has learned, and the golden ones.

        Small models answer other questions at random, so those are not used to compare engines.
        """
        chosen = list(self.seen)
        random.Random(0).shuffle(chosen)  # noqa: S311 - a sample, not secrets
        # Against a base, `taught` contains some hundred training pairs, so only a sample of them is asked.
        taught = list(self.taught)
        random.Random(2).shuffle(taught)  # noqa: S311 - a sample, not secrets
        asked = [pair.question for pair in (*taught[:_TAUGHT_QUESTIONS], *chosen[:_SEEN_QUESTIONS])]
        return list(dict.fromkeys([*asked, *(entry.question for entry in self.golden)]))


def measure(
    *,
    bot: str,
    version: int,
    candidate: LoadedBot,
    opponent: LoadedBot,
    opponent_name: str,
    exam: EvaluationSet,
    served: ServedBot | None = None,
    settings: Settings,
    progress: Callable[[str], None] = lambda _: None,
) -> gate.Measurements:
    """Measure both models on the same evaluation set.

    Args:
        bot: the bot's id.
        version: the candidate's number.
        candidate: the candidate on the reference engine.
        opponent: the baseline on the reference engine. It needs the tokenizer of the candidate, because their NLL is
            compared.
        opponent_name: the baseline's name in the gate's reasons.
        exam: the evaluation set.
        served: the candidate on the serving engine; None skips the comparison of the engines.
        settings: limits of the engines.
        progress: called with a line for each part of the measurement.

    Returns:
        Measurements for :func:`kogpt2_chat.domain.gate.decision.decide`.
    """
    progress("measuring answer likelihoods")
    slices = {
        name: _paired_nll(pairs, candidate, opponent, settings)
        for name, pairs in (("gold", exam.gold), ("taught", exam.taught), ("held_out", exam.held_out))
        if pairs
    }
    choice = choose(settings, bot, small=candidate.card.small)
    questions, learned = exam.questions(), set(exam.learned_questions())
    progress(f"generating the candidate's answers to {len(questions)} questions")
    reference_answers = answers = generate_reference_answers(candidate, questions, settings, suppress_control=False)
    engine = None
    if served is not None:
        progress("generating its answers on the serving engine, and comparing them")
        answers = generate_answers(make_engine(settings), served, questions)
        both = [pair for pair in zip(reference_answers, answers, strict=True) if pair[0].question in learned]
        known = [*exam.sampled_gold(), *exam.seen[:_SEEN_QUESTIONS]]
        engine = compare(candidate, served, [a for a, _ in both], [b for _, b in both], known, settings, choice)
    # A base is not trained as this bot: its likelihoods are a useful baseline, its answers are noise.
    opponent_metrics = None
    if opponent.card.bot:
        progress(f"generating the answers of {opponent_name}")
        opponent_metrics = evaluate_answers(opponent, exam, settings)
    return gate.Measurements(
        bot=bot,
        version=version,
        opponent=opponent_name,
        gold=slices.get("gold"),
        taught=slices.get("taught"),
        held_out=slices.get("held_out"),
        candidate=answer_metrics(reference_answers, exam, sampled_latencies_ms(candidate, exam, settings)),
        spoken_opponent=opponent_metrics,
        heard=answer_metrics(replace_unlikely(bot, served or candidate, answers, choice), exam),
        defers=choice == "nearest" and candidate.uncertainty is not None,
        retrieval_chrf=retrieval_chrf(exam.seen, exam.sampled_gold()),
        slices=_difference_by_topic(exam.gold, slices["gold"]) if "gold" in slices else {},
        engine=engine,
    )


def evaluate_answers(bot: LoadedBot, exam: EvaluationSet, settings: Settings) -> gate.AnswerMetrics:
    """Answer the questions of the evaluation set on the reference engine and return the metrics of the answers."""
    # Control tokens are not suppressed here: the gate counts the answers that contain one.
    answers = generate_reference_answers(bot, exam.questions(), settings, suppress_control=False)
    return answer_metrics(answers, exam, sampled_latencies_ms(bot, exam, settings))


def sampled_latencies_ms(bot: LoadedBot, exam: EvaluationSet, settings: Settings) -> list[float]:
    """Return the latencies of some questions of the evaluation set, asked one at a time."""
    return time_single_answers(bot, exam.questions()[:_TIMED_QUESTIONS], settings)


def replace_unlikely(name: str, bot: LoadedBot | ServedBot, answers: Sequence[Answer], choice: Choice) -> list[Answer]:
    """Return the answers that players would get: unlikely ones are replaced as in the worker.

    Args:
        name: the bot's id.
        bot: the version, on the engine that generated the answers.
        answers: the model's own answers.
        choice: from the settings: what to use if the version is unsure.

    Returns:
        One answer for each; a replacement has the stop reason ``end``.
    """
    replaced = []
    for answer in answers:
        who, found = speaker(bot.uncertainty, choice, answer.logprob, answer.question)
        if who == "model":
            replaced.append(answer)
            continue
        text = found.known.answer if found else unsure_answer(name, answer.question)
        replaced.append(replace(answer, text=text, leaked=has_control_token(text), stop_reason="end", is_own=False))
    return replaced


def answer_metrics(
    answers: Sequence[Answer], exam: EvaluationSet, latencies_ms: Sequence[float] = ()
) -> gate.AnswerMetrics:
    """Compute the metrics of answers to the questions of the evaluation set.

    Args:
        answers: one for each question.
        exam: the evaluation set.
        latencies_ms: latencies of single answers.

    Returns:
        The metrics.
    """
    text_by_question = {answer.question: answer.text for answer in answers}
    must = [_is_right(entry, text_by_question) for entry in exam.golden if entry.must_pass]
    rest = [_is_right(entry, text_by_question) for entry in exam.golden if not entry.must_pass]
    texts, gold = [answer.text for answer in answers], exam.sampled_gold()
    return gate.AnswerMetrics(
        answers=len(answers),
        failures=_failures(answers),
        leaks=sum(answer.leaked for answer in answers),
        must_passed=sum(must),
        must_total=len(must),
        golden_passed=sum(rest),
        golden_total=len(rest),
        chrf=chrf([text_by_question[pair.question] for pair in gold], [pair.answer for pair in gold]),
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        entropy=entropy(texts),
        p50_ms=percentile(latencies_ms, 0.5),
        p95_ms=percentile(latencies_ms, 0.95),
        own=sum(answer.is_own for answer in answers),
    )


def chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return the corpus chrF, 0 to 100; 0 if there is nothing to compare."""
    import sacrebleu

    return float(sacrebleu.corpus_chrf(list(answers), [list(references)]).score) if answers else 0.0


def retrieval_chrf(known: Sequence[Pair], gold: Sequence[Pair]) -> float:
    """Return the chrF of answering without a model: with the nearest known question's answer, at any likeness."""
    if not known or not gold:
        return 0.0
    index = NearestQuestions(known_pairs(known))
    nearest = [index.find(pair.question) for pair in gold]
    return chrf([found.known.answer if found else "" for found in nearest], [pair.answer for pair in gold])


def _paired_nll(pairs: Sequence[Pair], candidate: LoadedBot, opponent: LoadedBot, settings: Settings) -> gate.PairedNll:
    def nll(bot: LoadedBot) -> list[float]:
        limits = (bot.max_prompt_tokens, settings.model.max_new_tokens)
        return nll_by_example(bot.network, make_examples(pairs, bot.tokenizer, *limits, bot.first_ids))

    clusters = [pair.cluster or str(index) for index, pair in enumerate(pairs)]
    return gate.PairedNll(candidate=nll(candidate), opponent=nll(opponent), clusters=clusters)


def _difference_by_topic(gold: Sequence[Pair], nll: gate.PairedNll) -> dict[str, float]:
    differences: dict[str, list[float]] = defaultdict(list)
    for pair, ours, theirs in zip(gold, nll.candidate, nll.opponent, strict=True):
        differences[pair.topic].append(ours - theirs)
    return {topic: fmean(values) for topic, values in differences.items()}


def _failures(answers: Sequence[Answer]) -> dict[str, int]:
    return {kind: sum(kind in answer.failures for answer in answers) for kind in gate.FAILURES}


def _is_right(entry: GoldenQuestion, text_by_question: dict[str, str]) -> bool:
    return any(word in text_by_question[entry.question] for word in entry.any_of)
