"""Convert text to token ids and back, in KoGPT2's token layout. A player's text never becomes a control token.

The tokenizer is loaded from a local ``tokenizer.json``; the small base and KoGPT2 use the same format.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from kogpt2_chat.domain.chat import prompt
from kogpt2_chat.domain.chat.bots import BOTS
from kogpt2_chat.domain.learning.cleaning import clean
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.errors import CheckpointCorrupt

FILE: Final = "tokenizer.json"
_SPACE: Final = "▁"
_BOT_TOKENS: Final = tuple(bot.prompt_symbol for bot in BOTS)
# Text that the corpus does not contain (a rare syllable, an emoji) is encoded as bytes, not as <unk>.
_BYTES: Final = tuple(f"<0x{byte:02X}>" for byte in range(256))


class ChatTokenizer:
    """A fast tokenizer with the rules of the chat format.

    Args:
        tokenizer: must have KoGPT2's control tokens at their ids.

    Raises:
        CheckpointCorrupt: a control token of the chat format has another id than in KoGPT2.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        needed = (prompt.END, prompt.USER, prompt.PAD, prompt.SYSTEM, prompt.UNKNOWN, prompt.SENTENCE, *_BOT_TOKENS)
        for token in needed:
            expected, found = prompt.CONTROL_ID_BY_TOKEN[token], tokenizer.token_to_id(token)
            if found != expected:
                raise CheckpointCorrupt(
                    f"{FILE}: control token {token} has id {found}, expected {expected}: use KoGPT2's tokenizer"
                )
        self._tokenizer = tokenizer
        # Otherwise </s> or <usr> typed by a player would end or begin a turn.
        tokenizer.encode_special_tokens = True
        self.control_ids = frozenset(
            id_ for token, id_ in tokenizer.get_vocab().items() if prompt.is_control_token(token)
        )

    @property
    def size(self) -> int:
        """Number of entries in the vocabulary."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text, normalised to NFC; never a control id, even if the text spells one."""
        ids = self._tokenizer.encode(one_line(text), add_special_tokens=False).ids
        return [id_ for id_ in ids if id_ == prompt.UNKNOWN_ID or id_ not in self.control_ids]

    def encode_prompt(self, question: str, max_tokens: int, first_ids: Sequence[int] = ()) -> list[int]:
        """Return the prompt ids of a question, cleaned and formatted as in training.

        Args:
            question: any text.
            max_tokens: longest prompt.
            first_ids: the ids that the prompt begins with, from :func:`kogpt2_chat.domain.chat.prompt.bot_ids`.

        Returns:
            Token ids.
        """
        return prompt.prompt_ids(self.encode(clean(question)), max_tokens, first_ids)

    def encode_answer(self, answer: str, max_tokens: int) -> list[int]:
        """Return the ids of an answer and the end token, at most ``max_tokens`` in all."""
        return [*self.encode(answer)[: max_tokens - 1], prompt.END_ID]

    def answer_fault(self, answer: str, max_tokens: int) -> str | None:
        """Return the reason why an answer cannot be learned.

        Args:
            answer: the cleaned answer.
            max_tokens: longest answer, including the end token.

        Returns:
            ``answer_too_many_tokens``: it would be truncated, and the model would learn to stop there.
            ``answer_unknown_character``: the vocabulary lacks a character, and the unknown token is suppressed in
            answers. None: the answer can be learned.
        """
        ids = self.encode(answer)
        if prompt.UNKNOWN_ID in ids:
            return "answer_unknown_character"
        return "answer_too_many_tokens" if len(ids) >= max_tokens else None

    def piece(self, id_: int) -> str:
        """Return the vocabulary entry of an id (``▁`` is a space, ``<0xEA>`` a byte); empty for an unknown id."""
        return str(self._tokenizer.id_to_token(id_) or "")

    def decode_raw(self, ids: Sequence[int]) -> str:
        """Return the text of ids with control tokens spelled out; for evaluation, never for players."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def decode(self, ids: Sequence[int], max_chars: int = prompt.MAX_SERVED_ANSWER_CHARS) -> str:
        """Return the answer text of ids, without control tokens."""
        text_ids = [id_ for id_ in ids if id_ not in self.control_ids]
        return prompt.answer_text(self._tokenizer.decode(text_ids, skip_special_tokens=True), max_chars)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder, in the format of transformers."""
        from transformers import PreTrainedTokenizerFast  # imported here, because workers only load tokenizers

        fast = PreTrainedTokenizerFast(
            tokenizer_object=self._tokenizer,
            bos_token=prompt.BEGIN, eos_token=prompt.END, unk_token=prompt.UNKNOWN, pad_token=prompt.PAD,
        )  # fmt: skip
        fast.save_pretrained(folder)


def load_tokenizer(folder: Path) -> ChatTokenizer:
    """Read a folder's ``tokenizer.json``.

    Raises:
        CheckpointCorrupt: it is missing, unreadable or not in KoGPT2's layout.
    """
    try:
        tokenizer = Tokenizer.from_file(str(folder / FILE))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointCorrupt(f"{folder / FILE} is missing or not a tokenizer: {error}") from error
    return ChatTokenizer(tokenizer)


def read_tokenizer(text: str) -> ChatTokenizer:
    """Read a tokenizer from the content of a ``tokenizer.json``.

    Raises:
        CheckpointCorrupt: the content is not a tokenizer, or not in KoGPT2's layout.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise CheckpointCorrupt(f"the text is not a valid {FILE}: {error}") from error
    return ChatTokenizer(tokenizer)


def train_tokenizer(texts: Iterable[str], size: int) -> ChatTokenizer:
    """Train a byte pair encoding with at most ``size`` entries on a corpus.

    The corpus is sorted first, so that the vocabulary does not depend on the order of the lines.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=prompt.UNKNOWN))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(_BYTES),
        special_tokens=list(prompt.CONTROL_TOKENS),
        initial_alphabet=[_SPACE, *map(chr, range(0x21, 0x7F))],
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted({unicodedata.normalize("NFC", text) for text in texts}), trainer)
    return ChatTokenizer(with_byte_fallback(tokenizer))


def with_byte_fallback(tokenizer: Tokenizer) -> Tokenizer:
    """Return the same tokenizer with byte fallback for text that its vocabulary lacks."""
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    first = max(vocabulary.values()) + 1
    vocabulary.update({token: first + value for value, token in enumerate(_BYTES)})
    content["model"]["byte_fallback"] = True
    widened = Tokenizer.from_str(json.dumps(content))
    widened.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return widened
