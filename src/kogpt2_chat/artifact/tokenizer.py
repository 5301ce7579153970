"""Text to token ids and back, in KoGPT2's layout. Text can never become a control token.

Loaded from a local ``tokenizer.json`` only; the same file works for the small base and for KoGPT2.
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
_BOT_TOKENS: Final = tuple(bot.prompt_mark for bot in BOTS)
# Whatever the corpus never showed (a rare syllable, an emoji) is spelled in bytes, never lost as <unk>.
_BYTES: Final = tuple(f"<0x{byte:02X}>" for byte in range(256))


class ChatTokenizer:
    """A fast tokenizer, and the rules of the chat format around it.

    Args:
        tokenizer: with KoGPT2's control tokens at their ids.

    Raises:
        CheckpointCorrupt: a control token that the format needs has another id.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        needed = (prompt.END, prompt.USER, prompt.PAD, prompt.SYSTEM, prompt.UNKNOWN, prompt.SENTENCE, *_BOT_TOKENS)
        for token in needed:
            expected, found = prompt.CONTROL_ID_BY_TOKEN[token], tokenizer.token_to_id(token)
            if found != expected:
                raise CheckpointCorrupt(
                    f"{FILE}: control token {token} has id {found}, expected {expected} as in KoGPT2: use its tokenizer"
                )
        self._tokenizer = tokenizer
        # Without this, </s> or <usr> typed by a player would end or open a turn.
        tokenizer.encode_special_tokens = True
        self.control_ids = frozenset(
            id_ for token, id_ in tokenizer.get_vocab().items() if prompt.is_control_token(token)
        )

    @property
    def size(self) -> int:
        """Entries of the vocabulary."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text: normalised to NFC, without control ids whatever the text says."""
        ids = self._tokenizer.encode(one_line(text), add_special_tokens=False).ids
        return [id_ for id_ in ids if id_ == prompt.UNKNOWN_ID or id_ not in self.control_ids]

    def encode_prompt(self, question: str, max_tokens: int, first_ids: Sequence[int] = ()) -> list[int]:
        """Ids that ask for an answer to a question, in the form in which questions are trained on.

        Args:
            question: any text.
            max_tokens: bound of the prompt.
            first_ids: what it begins with, from :func:`kogpt2_chat.domain.chat.prompt.bot_ids`.

        Returns:
            Token ids.
        """
        return prompt.prompt_ids(self.encode(clean(question)), max_tokens, first_ids)

    def encode_answer(self, answer: str, max_tokens: int) -> list[int]:
        """Ids of an answer and its end, at most ``max_tokens`` in all."""
        return [*self.encode(answer)[: max_tokens - 1], prompt.END_ID]

    def answer_fault(self, answer: str, max_tokens: int) -> str | None:
        """Why an answer cannot be learned as it stands.

        Args:
            answer: the answer in its trained form.
            max_tokens: bound of the answer and its end.

        Returns:
            ``answer_too_many_tokens``: it would be cut, and the cut be learned as an end.
            ``answer_unknown_character``: the vocabulary lacks something in it, and the token that stands for that may
            never be said. None for an answer that can be learned.
        """
        ids = self.encode(answer)
        if prompt.UNKNOWN_ID in ids:
            return "answer_unknown_character"
        return "answer_too_many_tokens" if len(ids) >= max_tokens else None

    def piece(self, id_: int) -> str:
        """The vocabulary's own spelling of an id (``▁`` is a space, ``<0xEA>`` a byte); empty for an unknown one."""
        return str(self._tokenizer.id_to_token(id_) or "")

    def decode_raw(self, ids: Sequence[int]) -> str:
        """Text of ids with control tokens spelled out; for judging, never for players."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def decode(self, ids: Sequence[int], max_chars: int = prompt.MAX_ANSWER_CHARS) -> str:
        """Plain answer text of ids."""
        text_ids = [id_ for id_ in ids if id_ not in self.control_ids]
        return prompt.answer_text(self._tokenizer.decode(text_ids, skip_special_tokens=True), max_chars)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder, readable by any transformers program as well."""
        from transformers import PreTrainedTokenizerFast  # a worker reads a tokenizer and needs none of the rest

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
    """A tokenizer from the content of its ``tokenizer.json``.

    Raises:
        CheckpointCorrupt: it is no tokenizer, or not in KoGPT2's layout.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise CheckpointCorrupt(f"this is no {FILE}: {error}") from error
    return ChatTokenizer(tokenizer)


def train_tokenizer(texts: Iterable[str], size: int) -> ChatTokenizer:
    """Learn a byte pair vocabulary of at most ``size`` entries from a corpus.

    The corpus is sorted first, so that the same lines in another order give the same vocabulary.
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
    """The same tokenizer, which spells in bytes what its vocabulary lacks."""
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    first = max(vocabulary.values()) + 1
    vocabulary.update({token: first + place for place, token in enumerate(_BYTES)})
    content["model"]["byte_fallback"] = True
    widened = Tokenizer.from_str(json.dumps(content))
    widened.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return widened
