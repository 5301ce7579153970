"""Guessed tokens: the answers are the same as without guesses, in fewer passes."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from kogpt2_chat.artifact.forms import INT8, INT8_WEIGHTS, NATIVE, FormChoice, Speed
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.inference.drafts import Draft, Drafts
from kogpt2_chat.inference.engine import Sampling
from kogpt2_chat.inference.loading import load_served
from kogpt2_chat.inference.native.library import find_library
from kogpt2_chat.inference.native_model import NativeModel
from kogpt2_chat.inference.paged import PagedModel
from kogpt2_chat.inference.paged_engine import PagedEngine
from kogpt2_chat.inference.pages import PageTable
from kogpt2_chat.settings import Settings
from tests.model.known_pairs import add_known

FREE = FormChoice(form=NATIVE, least_share=0.9, speed_by_form={NATIVE: Speed(one_row_ms=1.0, eight_rows_ms=1.05)})
"""A machine on which further rows cost next to nothing, so that everything with some confidence is guessed."""


class CountingNetwork:
    """Counts the passes of a network and the rows that they computed."""

    def __init__(self, network):
        self._network, self.passes, self.rows = network, 0, 0

    def forward(self, sequences, **wanted):
        self.passes += 1
        self.rows += sum(len(tokens) for _, tokens in sequences)
        return self._network.forward(sequences, **wanted)

    def __getattr__(self, name):
        return getattr(self._network, name)


@pytest.fixture(scope="module")
def bot(learned, tmp_path_factory):
    """A trained version in the native engine, whose rows are the same whatever else is in a pass."""
    library = find_library()
    if not library:
        pytest.skip("the native engine was not built: set-up says why")
    folder = learned.write(tmp_path_factory.mktemp("drafts") / "7")
    served = load_served(folder, Settings(cache=tmp_path_factory.mktemp("cache")))
    network = NativeModel(folder, served.tokenizer.control_ids, library=library, max_sequences=32)
    return replace(served, network=network, choice=FREE, drafts=None)


@pytest.fixture
def examples(learned):
    """The prompt and the answer of everything that the version has learned."""
    return [(one.ids[: one.answer_start], one.ids[one.answer_start :]) for one in learned.examples]


def answer(bot, prompts, sampling=None, *, together=8, cores=1):
    """The finished requests, in the order of the prompts, and the network's counts."""
    network = CountingNetwork(bot.network)
    counted = replace(bot, network=network)
    engine = PagedEngine(max_batch=together, max_new_tokens=12, cores=cores)
    for number, prompt in enumerate(prompts):
        engine.add_request(str(number), counted, prompt, sampling=sampling)
    done = {}
    while engine.in_flight:
        done.update({int(one.request_id): one for one in engine.step()})
    assert sorted(network.pool.free) == list(range(network.pool.count)), "pages leak"
    return [
        (done[number].token_ids, done[number].stop_reason, done[number].logprob) for number in range(len(prompts))
    ], network


@pytest.mark.parametrize("sampling", [None, Sampling(temperature=1.5, top_k=20, seed=3)], ids=["greedy", "drawn"])
@pytest.mark.parametrize("together", [1, 3, 32])
def test_guesses_do_not_change_an_answer(bot, examples, sampling, together):
    """Tokens, reason and log-probability, bit by bit; learned questions, parts of them, and nonsense."""
    prompts = [list(prompt) for prompt, _ in examples] + [[2, 150 + number, 90, 4] for number in range(12)]
    plain, plain_counts = answer(bot, prompts, sampling, together=together)
    guessed, counts = answer(replace(bot, drafts=Drafts(examples)), prompts, sampling, together=together)
    assert guessed == plain
    assert counts.passes < plain_counts.passes
    assert counts.rows > plain_counts.rows, "nothing was guessed"


@pytest.mark.parametrize("form", [INT8, INT8_WEIGHTS])
def test_the_other_forms_differ_only_where_two_tokens_are_level(bot, learned, examples, tmp_path, form):
    """OpenVINO's products of several rows are rounded otherwise than those of one, so its numbers are not bitwise equal."""
    folder = learned.write(tmp_path / "7")
    served = replace(bot, network=PagedModel(folder / "engine.xml", form=form, max_sequences=32))
    prompts = [list(prompt) for prompt, _ in examples] + [[2, 150 + number, 90, 4] for number in range(12)]
    plain, guessed = (answer(one, prompts)[0] for one in (served, replace(served, drafts=Drafts(examples))))
    for prompt, (expected, *_), (found, *_) in zip(prompts, plain, guessed, strict=True):
        if expected == found:
            continue
        same = next(place for place, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1])
        table = PageTable()
        logits = served.network.forward([(table, [*prompt, *expected[:same]])])[0][0]
        served.network.release(table)
        highest, second = sorted(logits)[-1:-3:-1]
        assert highest - second < 1e-3


def test_a_learned_question_takes_few_passes(bot, examples):
    """Its whole answer is verified with its prompt."""
    said = answer(bot, [list(prompt) for prompt, _ in examples])[0]
    prompt = next(
        prompt for (prompt, learned), (tokens, *_) in zip(examples, said, strict=True) if tokens == tuple(learned[:-1])
    )
    drafts = Drafts(examples)
    for _ in range(60):
        drafts.learn(Draft([1], from_question=True), 1)
    plain, plain_counts = answer(bot, [list(prompt)])
    guessed, counts = answer(replace(bot, drafts=drafts), [list(prompt)])
    assert guessed == plain
    assert counts.passes == 1 < plain_counts.passes


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.lists(strategies.lists(strategies.integers(2, 300), min_size=1, max_size=14), min_size=1, max_size=5))
def test_wrong_guesses_do_not_change_an_answer(bot, examples, wrong):
    """Whatever is guessed, also the end too early, or more than may be answered."""
    prompts = [list(prompt) for prompt, _ in examples[:4]]
    misled = Drafts((prompt, [*wrong[number % len(wrong)], END_ID]) for number, prompt in enumerate(prompts))
    assert answer(replace(bot, drafts=misled), prompts)[0] == answer(bot, prompts)[0]


@pytest.mark.parametrize("drafts", [True, False])
def test_a_version_guesses_from_the_pairs_in_its_folder(learned, tmp_path, drafts):
    """Unless the setting says no; a version without pairs guesses nothing."""
    where = Settings(cache=tmp_path / "cache", serving={"drafts": drafts})
    folder = learned.write(tmp_path / "7")
    assert load_served(folder, where).drafts is None
    pair = learned.pairs[0]
    add_known(folder, [pair])
    served = load_served(folder, where)
    if drafts:
        guess = served.drafts.guess(served.encode(pair.question), [], 99, 0.0).tokens
        assert served.decode(guess) == pair.answer
        assert guess[-1] == END_ID
    else:
        assert served.drafts is None


def test_what_is_learned_is_guessed():
    """First by the question, then by how learned answers go on after the same tokens."""
    drafts = Drafts(
        [([2, 7, 4], [10, 11, 12, END_ID]), ([2, 8, 4], [10, 11, 13, END_ID]), ([2, 9, 4], [10, 11, 13, 14, END_ID])]
    )
    assert drafts.guess([2, 7, 4], [], 9, 0.0).tokens == [10, 11, 12, END_ID]
    assert drafts.guess([2, 7, 4], [10], 2, 0.0).tokens == [11, 12]
    assert drafts.guess([2, 99, 4], [], 3, 0.0).tokens == [10, 11, 13]
    assert drafts.guess([2, 99, 4], [5, 6], 3, 0.0).tokens == []
    assert drafts.guess([2, 99, 4], [55, 11, 13], 1, 0.0).tokens in ([14], [END_ID])


def test_a_guess_stops_where_it_is_not_likely_enough():
    """The rate at which guesses were right counts: after wrong ones fewer tokens are guessed."""
    drafts = Drafts([([2, 7, 4], [10, 11, 12, 13, 14, END_ID])])
    length = len(drafts.guess([2, 7, 4], [], 9, 0.3).tokens)
    assert 0 < length < 6
    for _ in range(30):
        drafts.learn(drafts.guess([2, 7, 4], [], 9, 0.0), 0)
    assert len(drafts.guess([2, 7, 4], [], 9, 0.3).tokens) < length
    for _ in range(60):
        drafts.learn(Draft([10, 11], from_question=True), 2)
    assert len(drafts.guess([2, 7, 4], [], 9, 0.3).tokens) == 6


@pytest.mark.parametrize(("one", "eight", "rows"), [(5.0, 5.0, 99), (5.0, 12.0, 4), (1.0, 8.0, 0), (2.0, 50.0, 0)])
def test_free_rows_follow_from_the_measured_times(one, eight, rows):
    """A pass of the cost of reading the weights, and a cost of each row."""
    assert Speed(one_row_ms=one, eight_rows_ms=eight).free_rows == pytest.approx(rows)
