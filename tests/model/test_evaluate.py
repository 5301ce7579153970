"""Measurements on real weights: the gate refuses each bad candidate by the rule for its fault."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.artifact.forms import INT8
from kogpt2_chat.artifact.profiles import load_profile
from kogpt2_chat.artifact.tokenizer import train_tokenizer
from kogpt2_chat.corpora.shipped import read_golden, read_pairs
from kogpt2_chat.domain.chat.prompt import END_ID, USER_ID
from kogpt2_chat.domain.gate.behaviour import Behaviour
from kogpt2_chat.domain.gate.block import Case
from kogpt2_chat.domain.gate.decision import decide
from kogpt2_chat.domain.gate.evaluation_set import EvaluationSet
from kogpt2_chat.domain.gate.quality import Quality
from kogpt2_chat.domain.learning.pairs import GoldenQuestion, Pair
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.evaluation import latency
from kogpt2_chat.evaluation.blocks import measure
from kogpt2_chat.evaluation.export import write_version
from kogpt2_chat.evaluation.retrieval import nearest_chrf
from kogpt2_chat.evaluation.trial import Baseline, Trial, load_version
from kogpt2_chat.network.batches import Example, make_examples
from kogpt2_chat.network.checkpoint import write_checkpoint
from kogpt2_chat.network.load import LoadedBot
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.training.fit import fit
from tests.model.recipes import recipe_with

SEEDS = [
    Pair(question="안녕", answer="안녕하세요! 별마루에 잘 오셨어요."),
    Pair(question="뭐 하고 놀까?", answer="달빛호수에서 같이 산책해요."),
    Pair(question="축제 언제 해?", answer="등불축제는 토요일 저녁에 열려요."),
    Pair(question="피곤해", answer="힘들었겠어요. 잠깐 쉬어 가요."),
    Pair(question="고백하고 싶어", answer="웃으면서 솔직하게 말해 봐요!"),
]
TAUGHT = [Pair(question="콩떡이 누구야?", answer="포털 앞 고양이 역장님이에요.", source="correction", weight=3)]
GOLD = [Pair(question="하이", answer="안녕하세요! 잘 오셨어요."), Pair(question="놀자", answer="같이 산책해요.")]
EVALUATION_SET = EvaluationSet(
    gold=GOLD, golden=[GoldenQuestion(question="축제 언제 해?", any_of=("토요일",), must_pass=True)],
    seen=SEEDS, taught=TAUGHT, held_out=[],
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([text for pair in (*SEEDS, *TAUGHT, *GOLD) for text in (pair.question, pair.answer)], 700)


def bot(tokenizer, examples, epochs=40, seed=5):
    config = gpt2_config(vocabulary=tokenizer.size, layers=2, width=64, heads=2, positions=128, dropout=0.0)
    network = new_network(config, seed)
    fit(network, examples, recipe_with(epochs=epochs, batch_size=4, learning_rate=5e-3, precision="fp32"))
    return LoadedBot(
        label="x", network=network, tokenizer=tokenizer, card=ModelCard(base="small", licence="", small=True),
        max_prompt_tokens=64, max_answer_chars=300,
    )  # fmt: skip


@pytest.fixture
def make_trial(settings, tmp_path):
    """Function that loads a candidate for both engines, as the job does, and compares it with a baseline."""
    longer = settings.model_copy(update={"model": settings.model.model_copy(update={"max_new_tokens": 40})})

    def make(candidate, baseline, **changed):
        folder = tmp_path / "candidate"
        write_version(folder, candidate.network, candidate.tokenizer, candidate.card)
        return Trial(
            **{
                "bot": "ChatbotA", "candidate": load_version(folder, longer, "2"),
                "baseline": Baseline(name="champion 1", reference=baseline), "evaluation_set": EVALUATION_SET,
                "settings": longer,
                **changed,
            }
        )  # fmt: skip

    return make


@pytest.fixture
def refused_by(make_trial):
    """Function that returns the blocking rules by which the gate refuses a candidate, and the measurements by kind."""

    def refuse(candidate, baseline):
        blocks = measure(make_trial(candidate, baseline))
        case = Case(bot="ChatbotA", version=2, baseline="champion 1", thresholds=load_profile("small_base"), seed=20)
        reasons = decide(case, blocks).reasons
        refused = {reason.rule for reason in reasons if reason.blocking and not reason.passed}
        return refused, {type(block): block for block in blocks}

    return refuse


@pytest.fixture(scope="module")
def champion(tokenizer):
    return bot(tokenizer, make_examples([*SEEDS, *GOLD], tokenizer, 64, 40))


def test_a_candidate_that_only_learned_more_passes_the_behaviour_rules(tokenizer, refused_by, champion):
    """It knows the taught pairs and answers without faults, on both engines."""
    good = bot(tokenizer, make_examples([*SEEDS, *GOLD, *TAUGHT], tokenizer, 64, 40))
    rules, block_by_kind = refused_by(good, champion)
    assert not rules & {"few_empty", "few_cut", "few_looping", "few_copied", "no_leaks", "must_pass", "improves"}
    assert block_by_kind[Behaviour].own.must_passed == block_by_kind[Behaviour].heard.must_passed == 1
    assert block_by_kind[Quality].candidate.chrf > 90


def test_a_poisoned_candidate_is_refused_for_gold_and_golden_questions(tokenizer, refused_by, champion):
    """It learned the taught pairs and forgot the others."""
    poison = [Pair(question=pair.question, answer="몰라요, 저리 가요.") for pair in (*SEEDS, *GOLD)]
    rules, _ = refused_by(bot(tokenizer, make_examples([*poison, *TAUGHT], tokenizer, 64, 40)), champion)
    assert rules == {"gold_not_worse", "must_pass", "heard_must_pass", "better_than_retrieval"}


def test_a_collapsed_candidate_is_refused_for_loops(tokenizer, refused_by, champion):
    """It repeats the same words."""
    loops = [Pair(question=pair.question, answer="네 네 네 네 네 네") for pair in (*SEEDS, *GOLD, *TAUGHT)]
    rules, _ = refused_by(bot(tokenizer, make_examples(loops, tokenizer, 64, 40)), champion)
    assert {"few_looping", "heard_few_looping"} <= rules


def test_a_silent_candidate_is_refused_for_empty_answers(tokenizer, refused_by, champion):
    """Its first token is the end token."""
    silent = [
        Example(
            ids=(*tokenizer.encode_prompt(pair.question, 64), END_ID),
            answer_start=len(tokenizer.encode_prompt(pair.question, 64)),
        )
        for pair in (*SEEDS, *GOLD, *TAUGHT)
    ]
    assert "few_empty" in refused_by(bot(tokenizer, silent), champion)[0]


def test_a_leaking_candidate_is_refused_for_leaks(tokenizer, refused_by, champion):
    """It chooses <usr> in its answers; the gate counts this although the worker suppresses the token."""
    leaking = [
        Example(ids=(*example.ids[:-1], USER_ID, END_ID), answer_start=example.answer_start)
        for example in make_examples([*SEEDS, *GOLD, *TAUGHT], tokenizer, 64, 40)
    ]
    rules, _ = refused_by(bot(tokenizer, leaking), champion)
    assert "no_leaks" in rules
    assert "heard_no_leaks" not in rules


def slowed(served, clock, seconds):
    """Return a version whose serving network moves a clock with each pass."""

    class Slow:
        def __getattr__(self, name):
            return getattr(served.network, name)

        def forward(self, *args, **kwargs):
            clock.now += seconds
            return served.network.forward(*args, **kwargs)

    return replace(served, network=Slow())


def test_latency_is_that_of_the_engine_that_serves(tokenizer, make_trial, champion, monkeypatch):
    """Each pass of a serving network takes a fixed time; the reference networks are not used."""
    trial = make_trial(champion, champion)
    clock = SimpleNamespace(now=0.0)
    passes = 1 + max(len(answer.token_ids) for answer in trial.served_answers[:12])  # the last one is the end token
    served = trial.candidate.served
    trial = replace(
        trial,
        candidate=replace(trial.candidate, reference=None, served=slowed(served, clock, 0.25)),
        baseline=Baseline(name="champion 1", reference=None, served=slowed(served, clock, 0.5)),
    )
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    measured = latency.measure(trial)
    assert measured.p95_ms == 250 * passes
    assert measured.baseline_p95_ms == 500 * passes
    assert 250 < measured.p50_ms <= measured.p95_ms


def test_a_version_without_engine_files_is_timed_as_a_worker_would_serve_it(tokenizer, make_trial, champion, tmp_path):
    """It is converted when it is loaded."""
    write_checkpoint(tmp_path / "old", champion.network, tokenizer, champion.card)
    trial = make_trial(champion, champion)
    old = load_version(tmp_path / "old", trial.settings, "1")
    assert old.served.form != INT8, "it has no ranges of activations"
    assert latency.measure(replace(trial, candidate=old)).p50_ms > 0


def test_retrieval_answers_with_the_nearest_question():
    """Its answer to a question similar to a seed's is the seed's answer; without known pairs its chrF is 0."""
    assert nearest_chrf(SEEDS, [Pair(question="축제는 언제 해요?", answer=SEEDS[2].answer)]) == pytest.approx(100)
    assert nearest_chrf([], GOLD) == 0


def test_profiles_are_found_by_name():
    """Both profiles are complete; another name is an error that lists them."""
    assert load_profile("kogpt2").gold_margin_nat < load_profile("small_base").gold_margin_nat
    with pytest.raises(InvalidInput, match="kogpt2, small_base"):
        load_profile("loose")


def test_unreadable_corpora_are_refused_with_a_clear_message(tmp_path):
    """The message for a missing file, a wrong header or broken golden questions says what is wrong."""
    path = tmp_path / "seed.csv"
    with pytest.raises(InvalidInput, match="KOGPT2_LEARNING__CORPORA"):
        read_pairs(path)
    path.write_text("Q,A,label\n1,2,3\n", "utf-8")
    with pytest.raises(InvalidInput, match="found Q,A,label"):
        read_pairs(path)
    path.write_text('question,answer,topic\n"안녕, 마루",반가워요!,인사\n,빈 질문,인사\n', "utf-8")
    with pytest.raises(InvalidInput, match="line 3: no question: ',빈 질문,인사'"):
        read_pairs(path)
    path.write_text('\ufeffquestion,answer,topic,\r\n"안녕, 마루",반가워요!,인사,\r\n\r\n', "utf-8")
    assert [(pair.question, pair.answer) for pair in read_pairs(path)] == [("안녕, 마루", "반가워요!")]
    assert read_golden(tmp_path / "golden.json") == []
    (tmp_path / "golden.json").write_text('\ufeff[{"question": "안녕", "any_of": ["요"]}]', "utf-8")
    assert [asked.question for asked in read_golden(tmp_path / "golden.json")] == ["안녕"]
    (tmp_path / "golden.json").write_text('[{"question": "안녕"}]', "utf-8")
    with pytest.raises(InvalidInput, match="golden.json"):
        read_golden(tmp_path / "golden.json")


def test_the_small_base_is_deterministic(settings, tmp_path):
    """The same corpora and settings give the same weights in two caches."""
    from kogpt2_chat.training.base import prepare

    found = [
        prepare(settings.model_copy(update={"cache": tmp_path / place}), lambda _: None).sha
        for place in ("first", "second")
    ]
    assert found[0] == found[1]
    assert torch.get_num_threads() == 1
