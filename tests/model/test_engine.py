"""Both engines: the same answers however requests are mixed."""

import sys
from collections import Counter

import numpy as np
import pytest
import torch

from kogpt2_chat.evaluation.export import write_version
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.engine import Sampling
from kogpt2_chat.inference.loading import load_for_players, load_served
from kogpt2_chat.inference.openvino_engine import OpenVinoEngine
from kogpt2_chat.inference.sampling import choose, closes_circle, next_token
from kogpt2_chat.network.checkpoint import load_checkpoint
from kogpt2_chat.network.load import load_bot
from kogpt2_chat.testing.tiny_gpt2 import LINES, tiny_version

QUESTIONS = (*LINES, "네?", "등불시장에서 오늘 저녁에 뭐 하면 좋을까요 알려 주세요")


ENGINES = {"transformers": TransformersEngine, "openvino": OpenVinoEngine}


@pytest.fixture(params=ENGINES)
def kind(request):
    return request.param


@pytest.fixture
def load(kind, settings):
    """Loads a version for the engine under test."""
    how = load_bot if kind == "transformers" else load_for_players
    return lambda folder: how(folder, settings)


@pytest.fixture
def make(kind):
    """Makes the engine under test."""
    return lambda **bounds: ENGINES[kind](**{"max_new_tokens": 10, **bounds})


@pytest.fixture
def bot(tiny, load):
    return load(tiny)


@pytest.fixture
def alone(make):
    """The tokens of a question that nobody else is asked beside."""

    def ask(bot, question, **bounds):
        engine = make(**bounds)
        engine.add_request("q", bot, bot.encode(question))
        return run(engine)["q"].token_ids

    return ask


def run(engine, steps=200):
    done = {}
    for _ in range(steps):
        if not engine.in_flight:
            return done
        done.update({finished.request_id: finished for finished in engine.step()})
    raise AssertionError(f"{engine.in_flight} requests never finished")


@torch.inference_mode()
def uncached(bot, question, new_tokens=10):
    """The original way: the whole sequence again for each token."""
    ids, tokens = bot.encode(question), []
    banned = [id_ for id_ in bot.tokenizer.control_ids if id_ != 1]
    while len(tokens) < new_tokens:
        logits = bot.network(torch.tensor([ids + tokens])).logits[0, -1]
        logits[banned] = -float("inf")
        if (token := next_token(logits.numpy(), tokens, int(logits.argmax()))) == 1:
            break
        tokens.append(token)
    return tuple(tokens)


def test_cached_equals_uncached(tiny, settings):
    """The KV cache changes the time, not the tokens."""
    bot = load_bot(tiny, settings)
    for question in QUESTIONS:
        engine = TransformersEngine(max_new_tokens=10)
        engine.add_request("q", bot, bot.encode(question))
        assert run(engine)["q"].token_ids == uncached(bot, question)


def test_batched_equals_single(bot, make, alone):
    """Neighbours of other lengths change nothing."""
    engine = make()
    for place, question in enumerate(QUESTIONS):
        engine.add_request(str(place), bot, bot.encode(question))
    done = run(engine)
    assert [done[str(place)].token_ids for place in range(len(QUESTIONS))] == [alone(bot, q) for q in QUESTIONS]


def test_requests_may_join_and_leave_between_steps(bot, make, alone):
    """Staggered arrivals, a full batch and a cancelled neighbour change nothing either."""
    engine = make(max_batch=3)
    done = {}
    engine.add_request("cancelled", bot, bot.encode("취소될 질문이에요"))
    for place, question in enumerate(QUESTIONS):
        engine.add_request(str(place), bot, bot.encode(question))
        done.update({finished.request_id: finished for finished in engine.step()})
        if place == 1:
            engine.cancel("cancelled")
    done.update(run(engine))
    assert "cancelled" not in done
    assert [done[str(place)].token_ids for place in range(len(QUESTIONS))] == [alone(bot, q) for q in QUESTIONS]


def test_models_decode_side_by_side(bot, load, make, alone, tmp_path):
    """Each request is answered by the model it came with."""
    other = load(tiny_version(tmp_path / "2", seed=2))
    engine = make()
    engine.add_request("a", bot, bot.encode(LINES[0]))
    engine.add_request("b", other, other.encode(LINES[0]))
    done = run(engine)
    assert done["a"].token_ids == alone(bot, LINES[0])
    assert done["b"].token_ids == alone(other, LINES[0])
    assert done["a"].token_ids != done["b"].token_ids


def test_two_versions_of_a_bot_decode_in_one_step_and_one_is_swapped_away(bot, load, make, alone, tmp_path):
    """A swap is a caller that brings another model: what has begun ends with its own, and a rollback needs nothing."""
    candidate = load(tiny_version(tmp_path / "2", seed=2))
    engine = make()
    engine.add_request("champion", bot, bot.encode(LINES[0]))
    engine.add_request("candidate", candidate, candidate.encode(LINES[0]))
    done = {finished.request_id: finished for finished in engine.step()}
    assert engine.in_flight == 2
    engine.add_request("after the swap", candidate, candidate.encode(LINES[1]))
    done.update({finished.request_id: finished for finished in engine.step()})
    engine.add_request("after the rollback", bot, bot.encode(LINES[2]))
    done.update(run(engine))
    assert done["champion"].token_ids == alone(bot, LINES[0])
    assert done["candidate"].token_ids == alone(candidate, LINES[0])
    assert done["after the swap"].token_ids == alone(candidate, LINES[1])
    assert done["after the rollback"].token_ids == alone(bot, LINES[2])


def test_an_engine_keeps_no_model_that_it_has_no_request_of(bot, make):
    """Else the memory of a version that was swapped away would never come back."""
    engine = make()
    engine.add_request("q", bot, bot.encode(LINES[0]))
    before = sys.getrefcount(bot)
    run(engine)
    assert sys.getrefcount(bot) < before


def test_a_request_that_is_cancelled_and_asked_again_is_answered_once(bot, load, make, alone, tmp_path):
    """As after a dropped flight: the same ids come again while lanes are still at work for the old ones."""
    other = load(tiny_version(tmp_path / "2", seed=2))
    engine = make()
    for round_ in range(3):
        for place, model in enumerate((bot, other)):
            engine.add_request(str(place), model, model.encode(LINES[place]))
        if round_ < 2:
            engine.step()
            for place in range(2):
                engine.cancel(str(place))
            assert engine.in_flight == 0
    finished = []
    for _ in range(100):
        finished += engine.step()
    assert sorted(done.request_id for done in finished) == ["0", "1"]
    done = {one.request_id: one.token_ids for one in finished}
    assert (done["0"], done["1"]) == (alone(bot, LINES[0]), alone(other, LINES[1]))


def test_answers_are_bounded_and_deadlines_kept(bot, make):
    """A request ends at its bound, or at its deadline with what it has; one late from the start gets nothing."""
    now = [0.0]
    engine = make(clock=lambda: now[0])
    engine.add_request("late", bot, bot.encode("안녕"), deadline_s=0)
    engine.add_request("cut", bot, bot.encode("안녕"), deadline_s=5)
    engine.add_request("free", bot, bot.encode("안녕"))
    done = {finished.request_id: finished for finished in engine.step()}
    now[0] = 6.0
    done.update({finished.request_id: finished for finished in engine.step()})
    done.update(run(engine))
    assert (done["late"].stop_reason, done["late"].token_ids) == ("deadline", ())
    assert done["cut"].stop_reason == "deadline"
    assert len(done["cut"].token_ids) == 2
    assert len(done["free"].token_ids) <= 10


def test_control_tokens_are_never_chosen_unless_asked_to_look(tiny, settings, tmp_path):
    """Even a model that wants to say <usr> cannot, in either engine; the gate's look shows that it would."""
    loaded = load_checkpoint(tiny)
    with torch.no_grad():
        loaded.network.lm_head.weight[:] = 0
        loaded.network.lm_head.weight[2] = 1
        loaded.network.transformer.ln_f.bias[:] = 1
    write_version(tmp_path / "1", loaded.network, loaded.tokenizer, loaded.card)
    reference, served = load_bot(tmp_path / "1", settings), load_served(tmp_path / "1", settings)
    for engine, bot, would in (
        (TransformersEngine(max_new_tokens=10), reference, False),
        (TransformersEngine(max_new_tokens=10, suppress_control=False), reference, True),
        (OpenVinoEngine(max_new_tokens=10), served, False),
    ):
        engine.add_request("q", bot, bot.encode("안녕"))
        tokens = run(engine)["q"].token_ids
        assert (tokens[:3] == (2,) * 3) is would
        assert (2 in tokens) is would


def test_a_sampled_answer_depends_on_its_seed_alone(bot, make):
    """Neighbours, their number and the time have no part in it; another seed draws another answer."""

    def draw(*others: str, seed: int = 7):
        engine = make()
        for place, question in enumerate(others):
            engine.add_request(
                str(place), bot, bot.encode(question), sampling=Sampling(temperature=1.0, top_k=50, seed=place)
            )
        engine.add_request("q", bot, bot.encode("안녕"), sampling=Sampling(temperature=1.0, top_k=50, seed=seed))
        return run(engine)["q"].token_ids

    assert draw() == draw() == draw(*LINES)
    assert len({draw(seed=seed) for seed in range(5)}) > 1


def test_one_candidate_is_greedy(bot, make, alone):
    """top_k 1 leaves nothing to draw."""
    engine = make()
    engine.add_request("q", bot, bot.encode(LINES[0]), sampling=Sampling(temperature=2.0, top_k=1, seed=1))
    assert run(engine)["q"].token_ids == alone(bot, LINES[0])


def test_draws_follow_the_probabilities():
    """A token three times as likely is drawn three times as often; one outside of the top is never drawn."""
    logits = np.log(np.array([0.6, 0.2, 0.1, 0.1], np.float32))
    drawn = Counter(choose(logits, Sampling(temperature=1.0, top_k=2, seed=seed), 0) for seed in range(4000))
    assert set(drawn) == {0, 1}
    assert 2.5 < drawn[0] / drawn[1] < 3.6


def test_misuse_is_named(bot, make):
    """A doubled id is an error, an unknown cancel is none."""
    engine = make()
    engine.add_request("1", bot, bot.encode("안녕"))
    with pytest.raises(ValueError, match="in flight"):
        engine.add_request("1", bot, bot.encode("안녕"))
    engine.cancel("unknown")


def test_an_answer_does_not_go_round_in_circles(bot, make):
    """A random network loops by nature: no phrase is said three times in a row, no token four times."""
    engine = make(max_new_tokens=40)
    for place, question in enumerate(QUESTIONS):
        engine.add_request(str(place), bot, bot.encode(question))
    answers = [finished.token_ids for finished in run(engine, 400).values()]
    assert max(len(tokens) for tokens in answers) >= 20
    for tokens in answers:
        assert not any(closes_circle(tokens[:place], tokens[place]) for place in range(len(tokens)))


@pytest.mark.parametrize(
    ("tokens", "token", "closes"),
    [
        ([7, 7, 7], 7, True),
        ([7, 7], 7, False),
        ([1, 2, 1, 2, 1], 2, True),
        ([1, 2, 1], 2, False),
        ([9, 1, 2, 3, 1, 2, 3, 1, 2], 3, True),
        ([1, 2, 3, 1, 2, 4, 1, 2], 3, False),
        ([], 1, False),
    ],
)
def test_a_circle_is_the_same_phrase_three_times(tokens, token, closes):
    """Of up to eight tokens; a single token may stand three times, as in laughter."""
    assert closes_circle(tokens, token) is closes
    logits = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9], np.float32)
    logits[token] = 100
    chosen = next_token(logits, tokens, token)
    assert (chosen != token) is closes
