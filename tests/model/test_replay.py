"""A turn replayed on a tiny network: the same tokens as the engine's, with every choice recorded."""

from dataclasses import replace

import pytest

from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK, Turn
from kogpt2_chat.domain.learning.explanation import Explanation
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.evaluation.replay import replay
from kogpt2_chat.inference.drain import drain
from kogpt2_chat.jobs.explain import explain
from kogpt2_chat.lake.trace_turn import Sources
from kogpt2_chat.network.load import load_bot
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from kogpt2_chat.testing.registry import InMemoryRegistry
from kogpt2_chat.testing.tiny_gpt2 import LINES

pytestmark = pytest.mark.capped
QUESTION = LINES[1]
BOUND = 12


@pytest.fixture
def bot(tiny, settings):
    return load_bot(tiny, settings)


def generate(bot, question=QUESTION, max_new_tokens=BOUND):
    """Return the finished request on the reference engine."""
    engine = TransformersEngine(max_batch=32, max_new_tokens=max_new_tokens)
    engine.add_request("q", bot, bot.encode(question))
    return drain(engine)[0]


def stored_turn(bot, question=QUESTION, **changed):
    """Return a turn as the worker writes it."""
    finished = generate(bot, question)
    turn = Turn(
        turn_id="bot_question-0-0",
        question_id="q",
        bot="ChatbotA",
        player_id="p",
        sender="하늘",
        text=question,
        answer=bot.decode(finished.token_ids),
        answer_token_ids=finished.token_ids,
        prompt_tokens=len(bot.encode(question)),
        model_version=1,
        epoch=1,
        decoding={
            "engine": "transformers",
            "strategy": "greedy",
            "max_new_tokens": BOUND,
            "stop_reason": finished.stop_reason,
        },
        received_at="2026-11-24T01:00:01+00:00",
        answered_at="2026-11-24T01:00:02+00:00",
        latency_ms=1000,
        consent_store=True,
        consent_train=False,
        source="v1",
        worker="worker-1",
    )
    return replace(turn, **changed)


def explained(tiny, settings, turn, top=3) -> Explanation:
    broker, registry = Broker(), InMemoryRegistry()
    topics = InMemoryTopics(broker)
    topics.ensure()
    topics.send([Outgoing(topic=TURN_TOPIC, key=b"p", value=turn.to_json().encode())])
    run_id = registry.start_run("tiny", {}, {})
    registry.log_files(run_id, tiny, "version")
    registry.add_version("ChatbotA", run_id, "version", {})
    sources = Sources(
        index=InMemoryIndex(), registry=registry, tables=InMemoryTables(), files=InMemoryFiles(), settings=settings
    )
    return explain(turn_id=turn.turn_id, top=top, topics=topics, sources=sources)


@pytest.mark.parametrize("question", LINES)
def test_a_replay_equals_the_engines_answer(bot, question):
    """It has the same tokens and the same stop reason, for any limit."""
    for bound in (1, 5, BOUND):
        finished = generate(bot, question, bound)
        run = replay(bot, bot.encode(question), max_new_tokens=bound, top=2)
        tokens = [step.chosen.token_id for step in run.steps]
        ended = finished.stop_reason == "end"
        assert tokens == [*finished.token_ids, *([END_ID] if ended else [])]
        assert (run.stop_reason, run.answer) == (finished.stop_reason, bot.decode(finished.token_ids))
        assert run.verdict == "nothing_to_compare"


def test_the_end_token_is_the_last_step_of_a_complete_answer(bot):
    """The end token is a choice like any other token."""
    bot.network.lm_head.register_forward_hook(lambda _layer, _inputs, output: output + end_bias(output))
    finished = generate(bot)
    assert finished.stop_reason == "end"
    run = replay(bot, bot.encode(QUESTION), stored=(*finished.token_ids, END_ID), max_new_tokens=BOUND, top=2)
    assert run.steps[-1].chosen.token_id == END_ID
    assert run.verdict == "agrees"
    cut = replay(bot, bot.encode(QUESTION), stored=[END_ID + 300], max_new_tokens=BOUND, top=2)
    assert cut.difference.replayed.token_id == END_ID


def end_bias(output):
    """Return a bias that makes the end token the likeliest one."""
    bias = output.new_zeros(output.shape[-1])
    bias[END_ID] = 1000.0
    return bias


def test_probabilities_are_sorted_and_those_of_allowed_tokens(bot):
    """The best comes first; the sum is 1 if all are shown; the end token is the only control token among them."""
    controls = bot.tokenizer.control_ids - {END_ID}
    for top in (1, 7, 10_000):
        for step in replay(bot, bot.encode(QUESTION), max_new_tokens=3, top=top).steps:
            probabilities = [choice.probability for choice in step.choices]
            assert probabilities == sorted(probabilities, reverse=True)
            assert sum(probabilities) <= 1 + 1e-5
            assert controls.isdisjoint(choice.token_id for choice in step.choices)
            assert step.choices[0] == step.chosen
            assert len(probabilities) == min(top, bot.network.config.vocab_size - len(controls))
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def test_the_context_length_limits_a_replay(bot):
    """The limit stored in a turn may be any number, and the model may never choose the end token."""
    bot.network.lm_head.register_forward_hook(lambda _layer, _inputs, output: output - end_bias(output))
    prompt_ids = bot.encode(QUESTION)
    run = replay(bot, prompt_ids, max_new_tokens=10**9, top=1)
    assert len(run.steps) == bot.network.config.n_positions - len(prompt_ids)


def test_a_stored_answer_is_explained_completely(tiny, settings, bot):
    """The prompt, the tokens with their spelling, the rules that changed the text, and agreement at each step."""
    turn = stored_turn(bot)
    found = explained(tiny, settings, turn)
    assert found.exact_prompt is True
    assert [token.token_id for token in found.prompt] == bot.encode(QUESTION)
    assert found.prompt[0].piece == "<usr>"
    assert [token.token_id for token in found.answer_tokens] == list(turn.answer_token_ids)
    assert found.replay.verdict == "agrees"
    assert found.replay.compared == len(found.replay.steps)
    assert found.replay.answer == turn.answer
    assert "unexplained" not in [change.rule for change in found.changes]
    assert all(len(step.choices) == 3 for step in found.replay.steps)


def test_a_changed_token_is_pointed_out_at_its_step(tiny, settings, bot):
    """Both choices have their probability; nothing is compared after the first difference."""
    ids = list(generate(bot).token_ids)
    right, ids[4] = ids[4], bot.encode("호수")[-3]
    assert right != ids[4]
    found = explained(tiny, settings, stored_turn(bot, answer_token_ids=tuple(ids)))
    difference = found.replay.difference
    assert (difference.step, difference.stored.token_id, difference.replayed.token_id) == (5, ids[4], right)
    assert 0 <= difference.stored.probability <= difference.replayed.probability
    assert difference.margin == difference.replayed.probability - difference.stored.probability
    assert found.replay.compared == 5
    assert found.changes[-1].rule == "unexplained"
    assert not found.notes


def test_a_note_says_that_another_engine_may_have_rounded(tiny, settings, bot):
    """It appears only if the tokens differ."""
    decoding = {"engine": "openvino", "max_new_tokens": BOUND, "stop_reason": "length"}
    assert not explained(tiny, settings, stored_turn(bot, decoding=decoding)).notes
    ids = (bot.encode("호수")[-3], *generate(bot).token_ids[1:])
    found = explained(tiny, settings, stored_turn(bot, decoding=decoding, answer_token_ids=ids))
    assert "openvino" in found.notes[0]


def test_a_stored_control_token_has_probability_0(tiny, settings, bot):
    """The engine never chooses it."""
    ids = (2, *generate(bot).token_ids[1:])
    difference = explained(tiny, settings, stored_turn(bot, answer_token_ids=ids)).replay.difference
    assert (difference.step, difference.stored.piece, difference.stored.probability) == (1, "<usr>", 0.0)


def test_a_stored_answer_that_ended_too_early_differs_at_its_end(tiny, settings, bot):
    """The worker does not store the end token; the stop reason shows that it followed the last token."""
    ids = generate(bot).token_ids[:3]
    turn = stored_turn(bot, answer_token_ids=ids, decoding={"max_new_tokens": BOUND, "stop_reason": "end"})
    difference = explained(tiny, settings, turn).replay.difference
    assert (difference.step, difference.stored.token_id) == (4, END_ID)


def test_a_masked_question_is_not_an_exact_prompt(tiny, settings, bot):
    """It is replayed with a note, even if the number of tokens is the same by chance."""
    masked = "내 번호는 [전화번호] 이야"
    for count in (5, len(bot.encode(masked))):
        found = explained(tiny, settings, stored_turn(bot, text=masked, prompt_tokens=count))
        assert found.exact_prompt is False
        assert found.replay.steps
        assert "masked" in found.notes[0]
    found = explained(tiny, settings, stored_turn(bot, prompt_tokens=5))
    assert found.exact_prompt is False
    assert "MAX_PROMPT_TOKENS" in found.notes[0]


def test_a_notice_is_explained_and_shows_what_the_model_would_have_said(tiny, settings, bot):
    """A muted bot generates no answer, so there is nothing to compare."""
    turn = stored_turn(
        bot,
        answer=NOTICE_BY_FALLBACK["muted"],
        fallback="muted",
        answer_token_ids=(),
        prompt_tokens=0,
        decoding={},
    )
    found = explained(tiny, settings, turn)
    assert [change.rule for change in found.changes] == ["fallback"]
    assert found.exact_prompt is True
    assert found.replay.verdict == "nothing_to_compare"
    assert found.replay.max_new_tokens == settings.model.max_new_tokens
    assert found.replay.answer == bot.decode(generate(bot).token_ids)
