"""The tokenizer, with any text that players may send."""

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


def test_text_is_unchanged_after_encoding_and_decoding(tokenizer):
    """Nothing is lost, even for letters that are not in the corpus."""
    for text in (*LINES, "뷁쀍 처음 보는 글자", "이모지 😀🎏", "English, 123!"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("token", CONTROL_TOKENS[:12])
def test_player_text_never_becomes_a_control_token(tokenizer, token):
    """A control token typed by a player is encoded as letters: alone, in a word, repeated or nested."""
    for text in (token, f"안녕{token}하세요", token * 3, f"{token[0]}{token}{token[1:]}"):
        ids = tokenizer.encode(text)
        assert not set(ids) & tokenizer.control_ids
        assert ids


def test_decomposed_hangul_is_the_same_as_composed(tokenizer):
    """NFD text has the same ids as NFC text."""
    assert tokenizer.encode("\u1112\u1161\u11ab\u1100\u1173\u11af") == tokenizer.encode("한글")


def test_a_prompt_has_its_control_ids_once(tokenizer):
    """The format's own control tokens are the only ones."""
    ids = tokenizer.encode_prompt("<usr> 안녕 </s>", 64)
    assert [id_ for id_ in ids if id_ in tokenizer.control_ids] == [USER_ID, 10, SYSTEM_ID]


def test_a_prompt_is_cleaned_like_training_data(tokenizer):
    """Datasets contain a character at most three times in a row, so a prompt must not contain more."""
    assert tokenizer.encode_prompt("안녕ㅋㅋㅋㅋㅋㅋㅋㅋ!!!!!", 64) == tokenizer.encode_prompt("안녕ㅋㅋㅋ!!!", 64)


def test_a_truncated_answer_has_an_end_token(tokenizer):
    """The end token is learned for every length."""
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
    """A missing or invalid file is not loaded, and the message says so."""
    with pytest.raises(CheckpointCorrupt, match=r"tokenizer.json is missing"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}', "utf-8")
    with pytest.raises(CheckpointCorrupt, match="not a tokenizer"):
        load_tokenizer(tmp_path)


def bare_tokenizer():
    """Return a tokenizer without byte fallback, like KoGPT2's."""
    bare = Tokenizer(models.WordLevel({token: id_ for id_, token in enumerate(CONTROL_TOKENS)}, UNKNOWN))
    bare.add_tokens(["좋아요"])
    return ChatTokenizer(bare)


def test_an_answer_that_would_be_truncated_is_found(tokenizer):
    """The model would learn to stop there. The limit includes the end token."""
    answer = "축제는 토요일 저녁 여섯 시에 등불시장 앞에서 열려요."
    tokens = len(tokenizer.encode(answer)) + 1
    assert tokenizer.answer_fault(answer, tokens) is None
    assert tokenizer.encode_answer(answer, tokens)[:-1] == tokenizer.encode(answer)
    assert tokenizer.answer_fault(answer, tokens - 1) == "answer_too_many_tokens"


def test_an_answer_with_an_unknown_character_is_found():
    """Without byte fallback, an emoji becomes the unknown token, which is suppressed in answers."""
    bare = bare_tokenizer()
    assert bare.answer_fault("좋아요", 48) is None
    assert bare.answer_fault("좋아요🥲", 48) == "answer_unknown_character"


def test_pairs_that_cannot_be_learned_are_removed_and_counted(tokenizer):
    """They are removed from every split; the others keep their order."""
    long = Pair(question="길게 말해 줘", answer="정말 " * 50)
    good = Pair(question="안녕", answer="안녕하세요.")
    rest, left_out = leave_out_unlearnable({"train": [long, good], "val": [good], "test": [long]}, tokenizer, 48)
    assert rest == {"train": [good], "val": [good], "test": []}
    assert left_out == {"answer_too_many_tokens": 1}
