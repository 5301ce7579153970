"""A version's network in the native engine: int8 weights, int16 activations, exact sums.

A sum of integers does not depend on its order, and all other steps compute one row by itself. So the logits of a row
are the same whatever else is in the pass, on however many cores it runs.
"""

import ctypes
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open

from kogpt2_chat.artifact.card import WEIGHTS_FILE
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.native.library import Pass, load_library
from kogpt2_chat.inference.pages import Logits, PagePool, PageTable, pass_inputs
from kogpt2_chat.machine.cores import library_threads, usable_cores

_PAGE_TOKENS: Final = 16
_MASKS: Final = (".attn.bias", ".attn.masked_bias")
"""Old files of transformers contain the causal mask beside the weights."""
_REASONS: Final = {
    1: "is not a tensor of GPT-2",
    2: "has another size than config.json says",
    3: "does not fit in memory",
}


class NativeModel:
    """Packed weights and a pool of KV pages; a :class:`kogpt2_chat.inference.pages.PagedNetwork`.

    Attributes:
        pool: its free pages.
        positions: the network's context length, in tokens.
        vocabulary: entries of the vocabulary, the width of the logits.

    Args:
        folder: contains ``config.json`` and ``model.safetensors`` of a GPT-2.
        control_ids: tokens whose logits are minus infinity; the end token is never suppressed.
        library: from :func:`kogpt2_chat.inference.native.library.find_library`.
        int8: round activations to int8 instead of int16; only if the library can.
        listed: the only tokens whose logits are not minus infinity, ascending, none of them suppressed; empty: all.
            If the logits of all positions are asked for, they are those of the whole vocabulary.
        threads: cores that one pass uses; 0: all.
        max_sequences: most sequences at once.
        max_tokens: most positions of a sequence.

    Raises:
        CheckpointCorrupt: the files are not those of a GPT-2.
    """

    def __init__(
        self,
        folder: Path,
        control_ids: Iterable[int],
        *,
        library: Path,
        int8: bool = False,
        listed: Sequence[int] = (),
        threads: int = 0,
        max_sequences: int,
        max_tokens: int = 256,
    ) -> None:
        self._model: int | None = None
        self._library: Any = load_library(library)
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        self.positions, self.vocabulary = int(config["n_positions"]), int(config["vocab_size"])
        self.pool = PagePool(
            page_tokens=_PAGE_TOKENS, positions=self.positions, max_sequences=max_sequences, max_tokens=max_tokens
        )
        self._model = self._library.gpt2_new(
            config["n_layer"], config["n_head"], config["n_embd"], self.positions, self.vocabulary,
            config["layer_norm_epsilon"], self.pool.count, _PAGE_TOKENS, library_threads(threads) or usable_cores(),
            int(int8),
        )  # fmt: skip
        if not self._model:
            raise MemoryError(f"{folder}: no memory for the network")
        self._set_weights(folder)
        suppressed = np.array([id_ for id_ in control_ids if id_ != END_ID], np.int32)
        if not self._library.gpt2_suppress(self._model, suppressed.ctypes.data, len(suppressed)):
            raise MemoryError(f"{folder}: no memory for the network")
        self._is_short = len(listed) > 0
        self._logits_by_use = {use: np.empty((0, self.vocabulary), np.float32) for use in (False, True)}
        tokens = np.array(listed, np.int32)
        if self._is_short and not self._library.gpt2_shorten(self._model, tokens.ctypes.data, len(tokens)):
            raise MemoryError(f"{folder}: no memory for the short list")

    def __del__(self) -> None:
        if self._model:
            self._library.gpt2_delete(self._model)

    def _set_weights(self, folder: Path) -> None:
        path = folder / WEIGHTS_FILE
        try:
            with safe_open(path, "np") as file:
                # By name, so that a layer's bias comes before its weight, as the library wants it.
                for name in sorted(file.keys()):
                    if name.endswith(_MASKS):
                        continue
                    values = np.ascontiguousarray(file.get_tensor(name), np.float32)
                    short = name.removeprefix("transformer.").encode()
                    if reason := self._library.gpt2_set(self._model, short, values.ctypes.data, values.size):
                        raise CheckpointCorrupt(f"{path}: {name} {_REASONS[reason]}: take the previous version")
        except (OSError, SafetensorError) as error:
            raise CheckpointCorrupt(f"{path} cannot be read: {error}: take the previous version") from error
        if not self._library.gpt2_complete(self._model):
            raise CheckpointCorrupt(f"{path} lacks tensors that config.json promises: take the previous version")

    def forward(
        self,
        sequences: Sequence[tuple[PageTable, Sequence[int]]],
        *,
        tails: Sequence[int] | None = None,
        all_logits: bool = False,
        single_core: bool = False,
    ) -> tuple[Logits, Logits]:
        """Compute new positions; see :meth:`kogpt2_chat.inference.pages.PagedNetwork.forward`."""
        found = pass_inputs(self.pool, sequences, tails, all_logits=all_logits)
        if found.tokens.min() < 0 or found.tokens.max() >= self.vocabulary:
            raise ValueError(f"token ids must be from 0 to {self.vocabulary - 1}")
        if max(table.length for table, _ in sequences) > self.positions:
            raise ValueError(f"a sequence is longer than {self.positions} positions")
        rows = found.rows
        short_list = self._is_short and not all_logits
        logits = self._logits(len(rows), short_list=short_list)
        normalisers = np.empty(len(rows), np.float32)
        arrays = (found.begins, found.tokens, found.past, found.pages, found.page_begins)
        one_pass = Pass(
            len(sequences), *(array.ctypes.data for array in arrays), len(rows), rows.ctypes.data, logits.ctypes.data,
            normalisers.ctypes.data, int(short_list),
        )  # fmt: skip
        if self._library.gpt2_run(self._model, ctypes.byref(one_pass), int(single_core)):
            raise MemoryError(f"no memory for a pass of {len(found.tokens)} tokens")
        return logits, normalisers

    def _logits(self, count: int, *, short_list: bool) -> Logits:
        """Return rows for logits, which the next pass reuses: new memory would be cleared by the system each time.

        With a short list, a pass writes the listed ones only: the others are minus infinity from the start.
        """
        rows = self._logits_by_use[short_list]
        if len(rows) < count:
            rows = self._logits_by_use[short_list] = np.full((count, self.vocabulary), -np.inf, np.float32)
        return rows[:count]

    def forget(self, table: PageTable, tokens: int) -> None:
        """Drop the last positions of a sequence."""
        self.pool.forget(table, tokens)

    def release(self, table: PageTable) -> None:
        """Return a sequence's pages to the pool."""
        self.pool.release(table)
