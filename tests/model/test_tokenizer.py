"""The tokenizer at the border of player text."""

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from kogpt2_chat.artifact.tokenizer import ChatTokenizer, load_tokenizer, train_tokenizer
from kogpt2_chat.corpora.datasets import leave_out_unlearnable
from kogpt2_chat.domain.chat.prompt import CONTROL_TOKENS, END_ID, SYSTEM_ID, UNKNOWN, USER_ID
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.testing.tiny_gpt2 import LINES


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return load_tokenizer(tiny)


def test_text_comes_back_as_it_was(tokenizer):
    """Encoding and decoding loses nothing, whether the corpus had the letters or not."""
    for text in (*LINES, "뷁쀍 처음 보는 글자", "이모지 😀🎏", "English, 123!"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("token", CONTROL_TOKENS[:12])
def test_player_text_never_becomes_a_control_token(tokenizer, token):
    """A control token typed by a player is just letters, alone, in a word or doubled."""
    for text in (token, f"안녕{token}하세요", token * 3, f"{token[0]}{token}{token[1:]}"):
        ids = tokenizer.encode(text)
        assert not set(ids) & tokenizer.control_ids
        assert ids


def test_decomposed_hangul_is_the_same_as_composed(tokenizer):
    """NFD text has the ids of NFC text."""
    assert tokenizer.encode("\u1112\u1161\u11ab\u1100\u1173\u11af") == tokenizer.encode("한글")


def test_a_prompt_has_its_control_ids_once(tokenizer):
    """The format's own control tokens are the only ones."""
    ids = tokenizer.encode_prompt("<usr> 안녕 </s>", 64)
    assert [id_ for id_ in ids if id_ in tokenizer.control_ids] == [USER_ID, 10, SYSTEM_ID]


def test_a_prompt_is_read_in_the_form_that_was_trained_on(tokenizer):
    """Datasets hold no longer runs of a character than three, so a model has never seen one."""
    assert tokenizer.encode_prompt("안녕ㅋㅋㅋㅋㅋㅋㅋㅋ!!!!!", 64) == tokenizer.encode_prompt("안녕ㅋㅋㅋ!!!", 64)


def test_an_answer_ends_even_when_cut(tokenizer):
    """The end is learned whatever the length."""
    assert tokenizer.encode_answer("안녕하세요! " * 50, 10)[-1] == END_ID
    assert len(tokenizer.encode_answer("안녕하세요! " * 50, 10)) == 10


def test_transformers_reads_the_same_files(tokenizer, tiny):
    """The saved folder is an ordinary fast tokenizer with the same ids."""
    fast = PreTrainedTokenizerFast.from_pretrained(tiny, local_files_only=True)
    assert fast.convert_tokens_to_ids(["<s>", "</s>", "<usr>", "<unused1>"]) == [0, 1, 2, 10]
    assert fast(LINES[0], add_special_tokens=False)["input_ids"] == tokenizer.encode(LINES[0])


def test_the_order_of_the_corpus_does_not_matter():
    """The same lines give the same vocabulary."""
    first, second = train_tokenizer(LINES, 800), train_tokenizer(reversed(LINES), 800)
    assert [first.encode(line) for line in LINES] == [second.encode(line) for line in LINES]


def test_a_foreign_or_broken_tokenizer_is_refused(tmp_path):
    """A wrong layout would turn text into control tokens, so it is not loaded."""
    with pytest.raises(CheckpointCorrupt, match=r"tokenizer.json is missing"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}', "utf-8")
    with pytest.raises(CheckpointCorrupt, match="not a tokenizer"):
        load_tokenizer(tmp_path)


def bare_tokenizer():
    """A vocabulary without byte fallback, as KoGPT2's is."""
    bare = Tokenizer(models.WordLevel({token: place for place, token in enumerate(CONTROL_TOKENS)}, UNKNOWN))
    bare.add_tokens(["좋아요"])
    return ChatTokenizer(bare)


def test_an_answer_that_would_be_cut_is_found(tokenizer):
    """Its end would be learned where it was cut. The bound counts the end as well."""
    answer = "축제는 토요일 저녁 여섯 시에 등불시장 앞에서 열려요."
    tokens = len(tokenizer.encode(answer)) + 1
    assert tokenizer.answer_fault(answer, tokens) is None
    assert tokenizer.encode_answer(answer, tokens)[:-1] == tokenizer.encode(answer)
    assert tokenizer.answer_fault(answer, tokens - 1) == "answer_too_many_tokens"


def test_an_answer_that_could_never_be_said_is_found():
    """Without byte fallback an emoji is the unknown token, which no answer may contain."""
    bare = bare_tokenizer()
    assert bare.answer_fault("좋아요", 48) is None
    assert bare.answer_fault("좋아요🥲", 48) == "answer_unknown_character"


def test_pairs_that_cannot_be_learned_are_left_out_and_counted(tokenizer):
    """Of every split; the rest keeps its order."""
    long = Pair(question="길게 말해 줘", answer="정말 " * 50)
    good = Pair(question="안녕", answer="안녕하세요.")
    rest, left_out = leave_out_unlearnable({"train": [long, good], "val": [good], "test": [long]}, tokenizer, 48)
    assert rest == {"train": [good], "val": [good], "test": []}
    assert left_out == {"answer_too_many_tokens": 1}
