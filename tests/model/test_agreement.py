"""int8 compared with fp32, on a network that has learned some pairs."""

from dataclasses import replace

import numpy as np
import openvino as ov
import pytest

from kogpt2_chat.artifact.card import ModelCard, verify_folder
from kogpt2_chat.artifact.convert import quantise
from kogpt2_chat.artifact.forms import INT8_WEIGHTS, NATIVE, NATIVE_INT8
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.evaluation.agreement import compare, served_nll
from kogpt2_chat.evaluation.answers import generate_answers, reference_engine
from kogpt2_chat.evaluation.export import write_version
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.evaluation.trial import load_version
from kogpt2_chat.inference.drain import drain
from kogpt2_chat.inference.loading import load_for_players, load_served, make_engine
from kogpt2_chat.inference.paged_engine import PagedEngine
from kogpt2_chat.network.batches import Example, make_examples
from kogpt2_chat.network.checkpoint import write_checkpoint
from kogpt2_chat.network.load import load_bot
from kogpt2_chat.network.network import new_network, nll_by_example
from kogpt2_chat.testing.tiny_gpt2 import tiny_version

pytestmark = pytest.mark.capped_openvino


@pytest.fixture(scope="module", params=["int8 weights", "int8 activations too"])
def trained(request, learned, tmp_path_factory):
    """A version that knows its pairs by heart, in each form."""
    return learned.write(tmp_path_factory.mktemp("trained") / "1", ranges=request.param == "int8 activations too")


@pytest.fixture
def pairs(learned):
    return learned.pairs


@pytest.fixture
def questions(pairs):
    return [pair.question for pair in pairs]


def with_longer_answers(settings):
    return settings.model_copy(update={"model": settings.model.model_copy(update={"max_new_tokens": 40})})


def compare_engines(folder, settings, questions, pairs, reference=None):
    """Compare the answers of a version's engines, or those of another version's weights with its serving engine."""
    version = load_version(folder, settings, "1")
    version = replace(version, reference=reference or version.reference)
    answers = [
        generate_answers(engine, bot, questions)
        for engine, bot in (
            (reference_engine(settings), version.reference),
            (make_engine(settings), version.served),
        )
    ]
    return compare(version, list(zip(*answers, strict=True)), pairs, settings)


def test_int8_answers_equal_fp32_answers(trained, settings, pairs, questions):
    """Answers learned by heart are the same token by token, and about as likely."""
    settings = with_longer_answers(settings)
    agreement = compare_engines(trained, settings, questions, pairs)
    assert (agreement.questions, agreement.same_answers) == (6, 6)
    assert agreement.same_tokens == agreement.tokens > 20
    assert abs(agreement.nll_difference) < 0.02
    assert [
        answer.text for answer in generate_answers(make_engine(settings), load_served(trained, settings), questions)
    ] == [pair.answer for pair in pairs]


def test_both_engines_report_the_same_log_probability(trained, settings, pairs, questions):
    """It is the mean over the answer's tokens including the end token, among the tokens that are not suppressed."""
    settings = with_longer_answers(settings)
    reference, served = load_bot(trained, settings), load_served(trained, settings)
    for question in (*questions, "모르는 말이에요"):
        finished = []
        for engine, bot in (
            (TransformersEngine(max_batch=32, max_new_tokens=40), reference),
            (PagedEngine(max_batch=32, max_new_tokens=40), served),
        ):
            engine.add_request("q", bot, bot.encode(question))
            finished += drain(engine)
        theirs, ours = finished
        if theirs.stop_reason == "end" and ours.token_ids == theirs.token_ids:
            prompt = reference.encode(question)
            example = Example(ids=(*prompt, *theirs.token_ids, END_ID), answer_start=len(prompt))
            assert theirs.logprob == pytest.approx(-nll_by_example(reference.network, [example])[0], abs=0.01)
            assert ours.logprob == pytest.approx(theirs.logprob, abs=0.05)
        if question in questions:
            assert ours.token_ids == theirs.token_ids
            assert theirs.logprob > -0.5


def test_another_network_does_not_agree(trained, settings, tmp_path, pairs, questions):
    """The comparison can fail: no answer of another network with the same tokenizer is the same."""
    settings = with_longer_answers(settings)
    reference = load_bot(trained, settings)
    network = new_network(reference.network.config, 99)
    write_version(tmp_path / "2", network, reference.tokenizer, reference.card)
    agreement = compare_engines(tmp_path / "2", settings, questions, pairs, reference)
    assert agreement.same_answers == 0
    assert agreement.nll_difference > 1


def test_likelihoods_are_those_of_the_network(trained, settings, pairs):
    """Teacher-forced likelihoods of single examples equal those that torch computes in batches."""
    settings = with_longer_answers(settings)
    reference, served = load_bot(trained, settings), load_served(trained, settings)
    unseen = [Pair(question="안녕?", answer="등불시장에서 같이 쉬어 가요."), *pairs]
    examples = make_examples(unseen, reference.tokenizer, 64, 40)
    assert served_nll(served.network, examples) == pytest.approx(
        nll_by_example(reference.network, examples), rel=0.05, abs=0.03
    )


def test_weights_are_quantised_by_row():
    """The error is at most half a step in each row; a row of zeros stays zero."""
    weights = np.random.default_rng(1).standard_normal((5, 40)).astype(np.float32) * np.array(
        [[1], [10], [0], [1e-3], [7]]
    )
    whole, scales = quantise(weights.astype(np.float32))
    assert np.all(np.abs(whole * scales - weights) <= scales / 2 + 1e-6)
    assert not whole[2].any()


def test_a_version_without_engine_files_is_converted_when_it_is_loaded(trained, settings, questions, tmp_path):
    """A version without a graph answers as its weights do, and loading adds no file to its folder."""
    reference = load_bot(trained, settings)
    base = ModelCard(base="t", licence="", small=True)
    write_checkpoint(tmp_path / "old", reference.network, reference.tokenizer, base)
    served = load_for_players(tmp_path / "old", settings)
    assert served.form in (INT8_WEIGHTS, NATIVE, NATIVE_INT8)
    served_answers, reference_answers = (
        [answer.text for answer in generate_answers(engine, bot, questions)]
        for engine, bot in ((make_engine(settings), served), (reference_engine(settings), reference))
    )
    assert sum(one == other for one, other in zip(served_answers, reference_answers, strict=True)) >= 5
    verify_folder(tmp_path / "old")


@pytest.mark.parametrize("damage", ["engine.bin", "engine.xml"])
def test_tampered_engine_files_are_refused(settings, tmp_path, damage):
    """The hashes reveal a changed byte, and a missing file is noticed, before anything is loaded."""
    folder = tiny_version(tmp_path / "1")
    content = bytearray((folder / damage).read_bytes())
    content[-2] ^= 1
    (folder / damage).write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match=damage):
        load_served(folder, settings)
    (folder / damage).unlink()
    with pytest.raises(CheckpointCorrupt, match=damage):
        load_served(folder, settings)


def test_an_unrelated_graph_is_refused(settings, tmp_path):
    """A graph that is not a GPT-2 of this project cannot be loaded."""
    folder = tiny_version(tmp_path / "1")
    zero = ov.opset15.parameter([1], ov.Type.f32)
    ov.save_model(ov.Model([ov.opset15.result(zero)], [zero], "other"), folder / "engine.xml")
    from kogpt2_chat.inference.paged import PagedModel

    with pytest.raises(CheckpointCorrupt, match="cannot be loaded"):
        PagedModel(folder / "engine.xml", max_sequences=32)


def test_released_blocks_are_reused_lowest_first(settings, tmp_path):
    """Many short sequences one after another use the same page."""
    from kogpt2_chat.inference.paged import PagedModel
    from kogpt2_chat.inference.pages import PageTable

    model = PagedModel(tiny_version(tmp_path / "1") / "engine.xml", max_sequences=2, max_tokens=64)
    for _ in range(20):
        table = PageTable()
        model.forward([(table, [2, 150, 4])])
        assert table.pages == [0]
        model.release(table)
    first, second = PageTable(), PageTable()
    model.forward([(first, [2] * 40), (second, [2, 3])])
    assert (first.pages, second.pages) == ([0, 1], [2])
