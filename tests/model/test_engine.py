"""Both engines: answers do not depend on the other requests in the batch."""

import sys
from collections import Counter

import numpy as np
import pytest
import torch

from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID
from kogpt2_chat.evaluation.export import write_version
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.engine import Sampling
from kogpt2_chat.inference.loading import load_for_players, load_served
from kogpt2_chat.inference.paged_engine import PagedEngine
from kogpt2_chat.inference.sampling import completes_loop, draw_token, next_token
from kogpt2_chat.network.checkpoint import load_checkpoint
from kogpt2_chat.network.load import load_bot
from kogpt2_chat.testing.tiny_gpt2 import LINES, tiny_version

QUESTIONS = (*LINES, "네?", "등불시장에서 오늘 저녁에 뭐 하면 좋을까요 알려 주세요")


ENGINES = {"transformers": TransformersEngine, "paged": PagedEngine}


@pytest.fixture(params=ENGINES)
def kind(request):
    return request.param


@pytest.fixture
def load(kind, settings):
    """Function that loads a version for the engine under test."""
    how = load_bot if kind == "transformers" else load_for_players
    return lambda folder: how(folder, settings)


@pytest.fixture
def make(kind):
    """Function that makes the engine under test."""
    return lambda **bounds: ENGINES[kind](**{"max_batch": 32, "max_new_tokens": 10, **bounds})


@pytest.fixture
def bot(tiny, load):
    return load(tiny)


@pytest.fixture
def answer_alone(make):
    """Function that returns the tokens of an answer if no other request is in flight."""

    def ask(bot, question, **bounds):
        engine = make(**bounds)
        engine.add_request("q", bot, bot.encode(question))
        return run(engine)["q"].token_ids

    return ask


@pytest.fixture
def make_in_turn(make, kind):
    """Function that makes the engine under test, with one thread for all batches, so that their order is fixed."""
    return lambda: make(**({"cores": 1} if kind == "paged" else {}))


def assert_both_advance(engine, rounds=2):
    """Assert that two versions advance together: neither waits for the end of the other.

    A step of the reference advances both. A step of OpenVINO ends with the first pass that is complete, so each version
    has advanced after two of them.
    """
    steps = 2 if isinstance(engine, PagedEngine) else 1
    for round_ in range(1, rounds + 1):
        for _ in range(steps):
            assert engine.step() == [], "neither has finished"
        tokens = [len(sequence.tokens) for batch in engine._batches() for sequence in batch.running]
        assert len(tokens) == 2
        assert min(tokens) >= round_


def run(engine, steps=200):
    done = {}
    for _ in range(steps):
        if not engine.in_flight:
            return done
        done.update({finished.request_id: finished for finished in engine.step()})
    raise AssertionError(f"{engine.in_flight} requests never finished")


@torch.inference_mode()
def uncached(bot, question, new_tokens=10):
    """The answer without a cache: the whole sequence is computed again for each token."""
    ids, tokens = bot.encode(question), []
    suppressed_tokens = [id_ for id_ in bot.tokenizer.control_ids if id_ != 1]
    while len(tokens) < new_tokens:
        logits = bot.network(torch.tensor([ids + tokens])).logits[0, -1]
        logits[suppressed_tokens] = -float("inf")
        if (token := next_token(logits.numpy(), tokens, int(logits.argmax()))) == 1:
            break
        tokens.append(token)
    return tuple(tokens)


def test_cached_equals_uncached(tiny, settings):
    """The KV cache does not change the tokens."""
    bot = load_bot(tiny, settings)
    for question in QUESTIONS:
        engine = TransformersEngine(max_batch=32, max_new_tokens=10)
        engine.add_request("q", bot, bot.encode(question))
        assert run(engine)["q"].token_ids == uncached(bot, question)


def test_batched_equals_single(bot, make, answer_alone):
    """Sequences of other lengths in the batch do not change an answer."""
    engine = make()
    for index, question in enumerate(QUESTIONS):
        engine.add_request(str(index), bot, bot.encode(question))
    done = run(engine)
    assert [done[str(index)].token_ids for index in range(len(QUESTIONS))] == [answer_alone(bot, q) for q in QUESTIONS]


def test_requests_may_join_and_leave_between_steps(bot, make, answer_alone):
    """Staggered arrivals, a full batch and a cancelled request do not change an answer."""
    engine = make(max_batch=3)
    done = {}
    engine.add_request("cancelled", bot, bot.encode("취소될 질문이에요"))
    for index, question in enumerate(QUESTIONS):
        engine.add_request(str(index), bot, bot.encode(question))
        done.update({finished.request_id: finished for finished in engine.step()})
        if index == 1:
            engine.cancel("cancelled")
    done.update(run(engine))
    assert "cancelled" not in done
    assert [done[str(index)].token_ids for index in range(len(QUESTIONS))] == [answer_alone(bot, q) for q in QUESTIONS]


def test_models_decode_side_by_side(bot, load, make, answer_alone, tmp_path):
    """Each request is answered by the model it came with."""
    other = load(tiny_version(tmp_path / "2", seed=2))
    engine = make()
    engine.add_request("a", bot, bot.encode(LINES[0]))
    engine.add_request("b", other, other.encode(LINES[0]))
    done = run(engine)
    assert done["a"].token_ids == answer_alone(bot, LINES[0])
    assert done["b"].token_ids == answer_alone(other, LINES[0])
    assert done["a"].token_ids != done["b"].token_ids


def test_two_versions_of_a_bot_decode_at_the_same_time(bot, load, make_in_turn, answer_alone, tmp_path):
    """In a swap, new requests bring another model: running requests end with their own, also after a rollback."""
    candidate = load(tiny_version(tmp_path / "2", seed=2))
    engine = make_in_turn()
    engine.add_request("champion", bot, bot.encode(LINES[0]))
    engine.add_request("candidate", candidate, candidate.encode(LINES[0]))
    assert_both_advance(engine)
    assert engine.in_flight == 2
    done = {}
    engine.add_request("after the swap", candidate, candidate.encode(LINES[1]))
    done.update({finished.request_id: finished for finished in engine.step()})
    engine.add_request("after the rollback", bot, bot.encode(LINES[2]))
    done.update(run(engine))
    assert done["champion"].token_ids == answer_alone(bot, LINES[0])
    assert done["candidate"].token_ids == answer_alone(candidate, LINES[0])
    assert done["after the swap"].token_ids == answer_alone(candidate, LINES[1])
    assert done["after the rollback"].token_ids == answer_alone(bot, LINES[2])


def test_a_version_finishes_after_the_other_one_was_dropped(bot, load, make_in_turn, answer_alone, tmp_path):
    """The engine releases the dropped version, and the requests of the other one are not affected."""
    candidate = load(tiny_version(tmp_path / "2", seed=2))
    engine = make_in_turn()
    references = sys.getrefcount(bot)
    engine.add_request("champion", bot, bot.encode(LINES[0]))
    engine.add_request("candidate", candidate, candidate.encode(LINES[0]))
    assert_both_advance(engine)
    engine.cancel("champion")
    assert engine.in_flight == 1
    done = run(engine)
    assert {name: finished.token_ids for name, finished in done.items()} == {
        "candidate": answer_alone(candidate, LINES[0])
    }
    assert sys.getrefcount(bot) == references


def test_an_engine_releases_a_model_after_its_last_request(bot, make):
    """Otherwise the memory of a replaced version would never be freed."""
    engine = make()
    engine.add_request("q", bot, bot.encode(LINES[0]))
    before = sys.getrefcount(bot)
    run(engine)
    assert sys.getrefcount(bot) < before


def test_a_request_that_is_cancelled_and_added_again_is_answered_once(bot, load, make, answer_alone, tmp_path):
    """After a rebalance the same ids are added again while passes of the cancelled requests still run."""
    other = load(tiny_version(tmp_path / "2", seed=2))
    engine = make()
    for round_ in range(3):
        for index, model in enumerate((bot, other)):
            engine.add_request(str(index), model, model.encode(LINES[index]))
        if round_ < 2:
            engine.step()
            for index in range(2):
                engine.cancel(str(index))
            assert engine.in_flight == 0
    finished = []
    for _ in range(100):
        finished += engine.step()
    assert sorted(done.request_id for done in finished) == ["0", "1"]
    done = {one.request_id: one.token_ids for one in finished}
    assert (done["0"], done["1"]) == (answer_alone(bot, LINES[0]), answer_alone(other, LINES[1]))


def test_limits_and_deadlines_end_answers(bot, make):
    """A request ends at its limit, or at its deadline with its tokens so far: none if it was late from the start."""
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
    assert done["late"].decode_s is None
    assert done["cut"].decode_s == 6.0


def test_the_time_of_decoding_begins_when_a_request_joins(bot, make):
    """A request that waits for a free place is not being decoded yet."""
    now = [0.0]
    engine = make(clock=lambda: now[0], max_batch=1, max_new_tokens=3)
    for name in ("first", "second"):
        engine.add_request(name, bot, bot.encode("안녕"))
    done, steps = {}, {}
    while engine.in_flight:
        now[0] += 1
        found = engine.step()
        steps |= {one.request_id: now[0] for one in found}
        done |= {one.request_id: one for one in found}
    assert steps["second"] > steps["first"]
    assert done["first"].decode_s == steps["first"] - 1
    assert done["second"].decode_s == steps["second"] - steps["first"] - 1


def test_control_tokens_are_never_chosen_unless_suppression_is_off(tiny, settings, tmp_path):
    """A model whose likeliest token is <usr> does not answer with it on either engine, except for the gate."""
    loaded = load_checkpoint(tiny)
    with torch.no_grad():
        loaded.network.lm_head.weight[:] = 0
        loaded.network.lm_head.weight[2] = 1
        loaded.network.transformer.ln_f.bias[:] = 1
    write_version(tmp_path / "1", loaded.network, loaded.tokenizer, loaded.card)
    reference, served = load_bot(tmp_path / "1", settings), load_served(tmp_path / "1", settings)
    for engine, bot, would in (
        (TransformersEngine(max_batch=32, max_new_tokens=10), reference, False),
        (TransformersEngine(max_batch=32, max_new_tokens=10, suppress_control=False), reference, True),
        (PagedEngine(max_batch=32, max_new_tokens=10), served, False),
    ):
        engine.add_request("q", bot, bot.encode("안녕"))
        tokens = run(engine)["q"].token_ids
        assert (tokens[:3] == (2,) * 3) is would
        assert (2 in tokens) is would


def test_the_unknown_token_is_never_chosen(tiny, settings, tmp_path):
    """It has no text, so the gate's reference engine chooses the next token, too, as players' engine does."""
    loaded = load_checkpoint(tiny)
    with torch.no_grad():
        loaded.network.lm_head.weight[:] = 0
        loaded.network.lm_head.weight[UNKNOWN_ID] = 1
        loaded.network.transformer.ln_f.bias[:] = 1
    write_version(tmp_path / "1", loaded.network, loaded.tokenizer, loaded.card)
    reference, served = load_bot(tmp_path / "1", settings), load_served(tmp_path / "1", settings)
    for engine, bot in (
        (TransformersEngine(max_batch=32, max_new_tokens=10), reference),
        (TransformersEngine(max_batch=32, max_new_tokens=10, suppress_control=False), reference),
        (PagedEngine(max_batch=32, max_new_tokens=10), served),
    ):
        engine.add_request("q", bot, bot.encode("안녕"))
        assert UNKNOWN_ID not in run(engine)["q"].token_ids


def test_a_sampled_answer_depends_on_its_seed_alone(bot, make):
    """Other requests and their number do not affect it; another seed draws another answer."""

    def draw(*others: str, seed: int = 7):
        engine = make()
        for index, question in enumerate(others):
            engine.add_request(
                str(index), bot, bot.encode(question), sampling=Sampling(temperature=1.0, top_k=50, seed=index)
            )
        engine.add_request("q", bot, bot.encode("안녕"), sampling=Sampling(temperature=1.0, top_k=50, seed=seed))
        return run(engine)["q"].token_ids

    assert draw() == draw() == draw(*LINES)
    assert len({draw(seed=seed) for seed in range(5)}) > 1


def test_top_k_1_is_greedy(bot, make, answer_alone):
    """With top_k 1 there is only one token to draw."""
    engine = make()
    engine.add_request("q", bot, bot.encode(LINES[0]), sampling=Sampling(temperature=2.0, top_k=1, seed=1))
    assert run(engine)["q"].token_ids == answer_alone(bot, LINES[0])


def test_draws_follow_the_probabilities():
    """A token that is three times as likely is drawn three times as often; one outside the top k is never drawn."""
    logits = np.log(np.array([0.6, 0.2, 0.1, 0.1], np.float32))
    drawn = Counter(draw_token(logits, Sampling(temperature=1.0, top_k=2, seed=seed), 0) for seed in range(4000))
    assert set(drawn) == {0, 1}
    assert 2.5 < drawn[0] / drawn[1] < 3.6


def test_a_duplicate_id_is_refused(bot, make):
    """Adding an id that is in flight is an error; cancelling an unknown one is not."""
    engine = make()
    engine.add_request("1", bot, bot.encode("안녕"))
    with pytest.raises(ValueError, match="in flight"):
        engine.add_request("1", bot, bot.encode("안녕"))
    engine.cancel("unknown")


def test_an_answer_does_not_loop(bot, make):
    """A random network tends to loop: no phrase is repeated three times in a row, no token four times."""
    engine = make(max_new_tokens=40)
    for index, question in enumerate(QUESTIONS):
        engine.add_request(str(index), bot, bot.encode(question))
    answers = [finished.token_ids for finished in run(engine, 400).values()]
    assert max(len(tokens) for tokens in answers) >= 20
    for tokens in answers:
        assert not any(completes_loop(tokens[:index], tokens[index]) for index in range(len(tokens)))


@pytest.mark.parametrize(
    ("tokens", "token", "completes"),
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
def test_a_loop_is_the_same_phrase_three_times(tokens, token, completes):
    """A phrase has up to eight tokens; a single token may be repeated three times, as in laughter."""
    assert completes_loop(tokens, token) is completes
    logits = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9], np.float32)
    logits[token] = 100
    chosen = next_token(logits, tokens, token)
    assert (chosen != token) is completes
