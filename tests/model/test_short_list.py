"""A bot that chooses among a short list of tokens: by setting, and only if it answers as in fp32."""

import shutil

import pytest

from kogpt2_chat.artifact.forms import SHORT_FORMS, Speed
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.evaluation.answers import generate_answers
from kogpt2_chat.inference.engine_check import read_check
from kogpt2_chat.inference.form_process import FormProcess
from kogpt2_chat.inference.loading import load_served, make_engine
from kogpt2_chat.inference.native.library import find_library
from kogpt2_chat.inference.short_list import short_list
from kogpt2_chat.settings import Settings
from tests.model.known_pairs import add_known

pytestmark = pytest.mark.skipif(not find_library(), reason="the native engine was not built: set-up says why")


@pytest.fixture(scope="module")
def version(learned, tmp_path_factory):
    """A version with the pairs that it has learned; read only."""
    folder = learned.write(tmp_path_factory.mktemp("short") / "7")
    add_known(folder, learned.pairs)
    return folder


@pytest.fixture
def short_is_fastest(monkeypatch):
    """Time nothing: the forms with a short list are fastest."""

    def speeds(_, forms):
        return {form: Speed(one_row_ms=1 if form in SHORT_FORMS else 2, eight_rows_ms=2) for form in forms}

    monkeypatch.setattr(FormProcess, "speeds", speeds)


def test_the_list_has_the_learned_answers_and_the_first_entries(version, learned):
    """And neither suppressed tokens nor, without learned answers, anything."""
    tokenizer = load_tokenizer(version)
    suppressed = set(tokenizer.control_ids) - {END_ID}
    answered = {id_ for pair in learned.pairs for id_ in tokenizer.encode_answer(pair.answer, 40)}
    listed = short_list(version, tokenizer, 30, 40)
    assert listed == sorted({*answered, *range(30)} - suppressed)
    assert short_list(version, tokenizer, 10**6, 40) == sorted(set(range(tokenizer.size)) - suppressed)


def test_without_learned_answers_there_is_no_list(learned, tmp_path):
    folder = learned.write(tmp_path / "7")
    assert short_list(folder, load_tokenizer(folder), 30, 40) == []
    where = Settings(cache=tmp_path / "cache", serving={"short_list": 30})
    assert load_served(folder, where).form not in SHORT_FORMS


@pytest.mark.usefixtures("short_is_fastest")
@pytest.mark.parametrize("frequent", [0, 30])
def test_by_setting_a_bot_chooses_among_the_list(version, learned, tmp_path, frequent):
    """With the same answers."""
    where = Settings(cache=tmp_path / "cache", serving={"short_list": frequent})
    bot = load_served(version, where)
    assert (bot.form in SHORT_FORMS) == (frequent > 0)
    [answer] = generate_answers(make_engine(where), bot, [learned.pairs[0].question])
    assert bot.decode(answer.token_ids) == learned.pairs[0].answer


@pytest.mark.usefixtures("short_is_fastest")
def test_a_list_that_changes_answers_is_not_used(version, learned, tmp_path):
    """Here it lacks a token that the version answers with: the form with all tokens is chosen, as it agrees."""
    folder = shutil.copytree(version, tmp_path / "8")
    tokenizer = load_tokenizer(folder)
    unlisted = set(range(tokenizer.size)) - set(short_list(folder, tokenizer, 1, 40))
    needed = {token for answer in read_check(folder) for token in answer.tokens}
    assert not needed & unlisted
    add_known(folder, learned.pairs[:1])
    bot = load_served(folder, Settings(cache=tmp_path / "cache", serving={"short_list": 1}))
    assert bot.form not in SHORT_FORMS
    assert bot.choice.agrees
    shares = {form: found.share for form, found in bot.choice.agreement_by_form.items()}
    assert all(shares[form] < bot.choice.least_share for form in shares if form in SHORT_FORMS)
    assert set(shares) & set(SHORT_FORMS)
