"""Choose what the model card shows of a trial's answers."""

from typing import Final

from kogpt2_chat.domain.gate.model_card import SampleAnswer
from kogpt2_chat.evaluation.trial import Trial

_SAMPLES: Final = 6


def sample_answers(trial: Trial) -> list[SampleAnswer]:
    """Return the own answers of both models to a few gold questions, the same ones for each version of a bot."""
    ours = {answer.question: answer.text for answer in trial.own_answers}
    theirs = {answer.question: answer.text for answer in trial.baseline_answers or ()}
    return [
        SampleAnswer(
            question=pair.question,
            expected=pair.answer,
            answer=ours[pair.question],
            baseline=theirs.get(pair.question),
        )
        for pair in trial.evaluation_set.sampled_gold()[:_SAMPLES]
    ]


def missed_questions(trial: Trial) -> list[str]:
    """Return the must-pass questions that the candidate's own answers miss."""
    text_by_question = {answer.question: answer.text for answer in trial.own_answers}
    return [
        entry.question
        for entry in trial.evaluation_set.golden
        if entry.must_pass and not entry.accepts(text_by_question[entry.question])
    ]
