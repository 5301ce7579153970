"""Measure a candidate and its opponent for the gate. Decides nothing."""

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
    ask_singly,
    distinct,
    entropy,
    generate_answers,
    generate_reference_answers,
    percentile,
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
    """What both models are asked.

    Attributes:
        gold: the frozen evaluation pairs.
        golden: questions with words that a right answer contains.
        seen: pairs that the candidate learned.
        taught: pairs of players that the candidate learned and the opponent did not.
        held_out: human pairs that neither learned.
    """

    gold: Sequence[Pair]
    golden: Sequence[GoldenQuestion]
    seen: Sequence[Pair]
    taught: Sequence[Pair]
    held_out: Sequence[Pair]

    def questions(self) -> list[str]:
        """Every question whose answer is looked at, once."""
        return list(dict.fromkeys([*(pair.question for pair in self.asked_gold()), *self.learned_questions()]))

    def asked_gold(self) -> list[Pair]:
        """Those gold pairs whose questions are asked; likelihoods are measured on all of them."""
        chosen = list(self.gold)
        random.Random(1).shuffle(chosen)  # noqa: S311 - a sample, not secrets
        return chosen[:_GOLD_QUESTIONS]

    def learned_questions(self) -> list[str]:
        """Those of them that the candidate should have an answer to; to others small models say what noise decides."""
        chosen = list(self.seen)
        random.Random(0).shuffle(chosen)  # noqa: S311 - a sample, not secrets
        # To a base the whole dataset is new: of that much a sample is asked.
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
    """Measure both models on the same exam.

    Args:
        bot: whose.
        version: the candidate's number.
        candidate: loaded.
        opponent: loaded; may have another tokenizer only if it is never compared by NLL.
        opponent_name: for the reasons.
        exam: what to ask.
        served: the candidate on the serving engine, where that is another one than the reference.
        settings: bounds of the worker's engine.
        progress: told what is being measured.

    Returns:
        Figures for :func:`kogpt2_chat.domain.gate.decision.decide`.
    """
    progress("measuring answer likelihoods")
    slices = {
        name: _slice(pairs, candidate, opponent, settings)
        for name, pairs in (("gold", exam.gold), ("taught", exam.taught), ("held_out", exam.held_out))
        if pairs
    }
    choice = choose(settings, bot, small=candidate.card.small)
    questions, learned = exam.questions(), set(exam.learned_questions())
    progress(f"letting the candidate answer {len(questions)} questions")
    own = said = generate_reference_answers(candidate, questions, settings, suppress_control=False)
    engine = None
    if served is not None:
        progress("letting it answer on the serving engine, and comparing")
        said = generate_answers(make_engine(settings), served, questions)
        both = [pair for pair in zip(own, said, strict=True) if pair[0].question in learned]
        known = [*exam.asked_gold(), *exam.seen[:_SEEN_QUESTIONS]]
        engine = compare(candidate, served, [a for a, _ in both], [b for _, b in both], known, settings, choice)
    # A base was never this bot: its likelihoods are a bar, its answers are noise.
    theirs = None
    if opponent.card.bot:
        progress(f"letting {opponent_name} answer")
        theirs = speak(opponent, exam, settings)
    return gate.Measurements(
        bot=bot,
        version=version,
        opponent=opponent_name,
        gold=slices.get("gold"),
        taught=slices.get("taught"),
        held_out=slices.get("held_out"),
        candidate=sum_up(own, exam, timed(candidate, exam, settings)),
        spoken_opponent=theirs,
        heard=sum_up(hear(bot, served or candidate, said, choice), exam),
        defers=choice == "nearest" and candidate.uncertainty is not None,
        retrieval_chrf=retrieval_chrf(exam.seen, exam.asked_gold()),
        slices=_topics(exam.gold, slices["gold"]) if "gold" in slices else {},
        engine=engine,
    )


def speak(bot: LoadedBot, exam: EvaluationSet, settings: Settings) -> gate.AnswerMetrics:
    """Let a bot answer the exam's questions and sum up what it said."""
    # Controls are not suppressed here: the gate wants to know what the model would say by itself.
    answers = generate_reference_answers(bot, exam.questions(), settings, suppress_control=False)
    return sum_up(answers, exam, timed(bot, exam, settings))


def timed(bot: LoadedBot, exam: EvaluationSet, settings: Settings) -> list[float]:
    """Milliseconds of some of the exam's questions, each asked alone."""
    return ask_singly(bot, exam.questions()[:_TIMED_QUESTIONS], settings)


def hear(name: str, bot: LoadedBot | ServedBot, said: Sequence[Answer], choice: Choice) -> list[Answer]:
    """What players would hear of a version: its answers in the serving engine, or what takes their place.

    Args:
        name: the bot.
        bot: the version, in the engine that serves it.
        said: what it answered there.
        choice: what the settings want where it is unsure.

    Returns:
        An answer for each; what is not the model's own has the stop reason ``end``.
    """
    heard = []
    for answer in said:
        who, found = speaker(bot.uncertainty, choice, answer.logprob, answer.question)
        if who == "model":
            heard.append(answer)
            continue
        text = found.known.answer if found else unsure_answer(name, answer.question)
        heard.append(replace(answer, text=text, leaked=has_control_token(text), stop_reason="end", is_own=False))
    return heard


def sum_up(answers: Sequence[Answer], exam: EvaluationSet, times: Sequence[float] = ()) -> gate.AnswerMetrics:
    """What answers to the exam's questions came to.

    Args:
        answers: one for each question.
        exam: what was asked.
        times: milliseconds of single answers.

    Returns:
        The figures.
    """
    text_by_question = {answer.question: answer.text for answer in answers}
    must = [_is_right(entry, text_by_question) for entry in exam.golden if entry.must_pass]
    rest = [_is_right(entry, text_by_question) for entry in exam.golden if not entry.must_pass]
    texts, gold = [answer.text for answer in answers], exam.asked_gold()
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
        p50_ms=percentile(times, 0.5),
        p95_ms=percentile(times, 0.95),
        own=sum(answer.is_own for answer in answers),
    )


def chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF, 0 to 100; 0 where there is nothing to compare."""
    import sacrebleu

    return float(sacrebleu.corpus_chrf(list(answers), [list(references)]).score) if answers else 0.0


def retrieval_chrf(known: Sequence[Pair], gold: Sequence[Pair]) -> float:
    """The baseline without a model: the answer of the nearest known question, whatever its likeness."""
    if not known or not gold:
        return 0.0
    index = NearestQuestions(known_pairs(known))
    nearest = [index.find(pair.question) for pair in gold]
    return chrf([found.known.answer if found else "" for found in nearest], [pair.answer for pair in gold])


def _slice(pairs: Sequence[Pair], candidate: LoadedBot, opponent: LoadedBot, settings: Settings) -> gate.PairedNll:
    def nll(bot: LoadedBot) -> list[float]:
        bounds = (bot.max_prompt_tokens, settings.model.max_new_tokens)
        return nll_by_example(bot.network, make_examples(pairs, bot.tokenizer, *bounds, bot.first_ids))

    clusters = [pair.cluster or str(place) for place, pair in enumerate(pairs)]
    return gate.PairedNll(candidate=nll(candidate), opponent=nll(opponent), clusters=clusters)


def _topics(gold: Sequence[Pair], figures: gate.PairedNll) -> dict[str, float]:
    differences: dict[str, list[float]] = defaultdict(list)
    for pair, ours, theirs in zip(gold, figures.candidate, figures.opponent, strict=True):
        differences[pair.topic].append(ours - theirs)
    return {topic: fmean(values) for topic, values in differences.items()}


def _failures(answers: Sequence[Answer]) -> dict[str, int]:
    return {kind: sum(kind in answer.failures for answer in answers) for kind in gate.FAILURES}


def _is_right(entry: GoldenQuestion, text_by_question: dict[str, str]) -> bool:
    return any(word in text_by_question[entry.question] for word in entry.any_of)
