"""Pages of a KV cache, and the interface of a network that keeps its keys and values in them.

The keys and values of a sequence are stored in pages of ``page_tokens`` positions, which come from one pool per
model. Sequences of any length share a pass without padding: one may add a whole prompt, another one token.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
_LEAST_PAGES: Final = 8


@dataclass(slots=True)
class PageTable:
    """Where the keys and values of a sequence are stored.

    Attributes:
        length: positions that have been computed.
        pages: numbers of the sequence's pages in the pool, in the order of the positions.
    """

    length: int = 0
    pages: list[int] = field(default_factory=list)


class PagedNetwork(Protocol):
    """A loaded network that computes any mix of sequences in one pass. Not thread safe: one pass at a time."""

    @property
    def positions(self) -> int:
        """The network's context length, in tokens."""
        ...

    @property
    def vocabulary(self) -> int:
        """Entries of the vocabulary, the width of the logits."""
        ...

    def forward(
        self,
        sequences: Sequence[tuple[PageTable, Sequence[int]]],
        *,
        tails: Sequence[int] | None = None,
        all_logits: bool = False,
        single_core: bool = False,
    ) -> tuple[Logits, Logits]:
        """Compute new positions of sequences and store their keys and values.

        Args:
            sequences: the page table and the new tokens of each; at least one sequence, at least one new token each.
            tails: of how many of its last new positions the logits are returned, by sequence; None: of one.
            all_logits: return logits of every new position, and of the whole vocabulary even with a short list.
            single_core: run on one core, because other models run at the same time.

        Returns:
            Logits, (wanted positions of all sequences, vocabulary). For each row of them, the
            logarithm of the sum of the exponentials: a logit minus it is a log-probability. Both arrays are valid
            until the next call.
        """
        ...

    def forget(self, table: PageTable, tokens: int) -> None:
        """Drop the last positions of a sequence."""
        ...

    def release(self, table: PageTable) -> None:
        """Return a sequence's pages to the pool."""
        ...


class PagePool:
    """The free pages of one model.

    Attributes:
        page_tokens: positions in a page.
        count: pages in all.

    Args:
        page_tokens: positions in a page.
        positions: the network's context length, in tokens.
        max_sequences: most sequences at once.
        max_tokens: most positions of a sequence.
    """

    def __init__(self, *, page_tokens: int, positions: int, max_sequences: int, max_tokens: int) -> None:
        # The minimum does not depend on the arguments: loading times eight short sequences and compares one answer,
        # which may be as long as the context.
        longest, bounded = (-(-tokens // page_tokens) for tokens in (positions, max_tokens))
        self.page_tokens = page_tokens
        self.count = max(max_sequences * bounded, longest, _LEAST_PAGES)
        self._free = list(range(self.count))

    @property
    def free(self) -> list[int]:
        """Numbers of the free pages."""
        return list(self._free)

    def extend(self, table: PageTable, tokens: int) -> None:
        """Make room for new positions of a sequence.

        It takes the lowest free pages first, so memory use follows the load, not the size of the pool.
        """
        table.length += tokens
        while len(table.pages) * self.page_tokens < table.length:
            table.pages.append(heapq.heappop(self._free))

    def forget(self, table: PageTable, tokens: int) -> None:
        """Drop the last positions of a sequence. Its pages stay, because it will need them."""
        table.length -= tokens

    def release(self, table: PageTable) -> None:
        """Take a sequence's pages back."""
        for page in table.pages:
            heapq.heappush(self._free, page)
        table.length, table.pages = 0, []


@dataclass(frozen=True, slots=True, kw_only=True)
class PassInputs:
    """The sequences of a pass as arrays.

    Attributes:
        tokens: new tokens of all sequences, one sequence after another.
        begins: where each sequence's new tokens begin, and the end of the last, (sequences + 1).
        past: positions of each sequence that are stored already.
        pages: page numbers of all sequences.
        page_begins: where each sequence's pages begin, and the end of the last, (sequences + 1).
        rows: the new tokens whose logits are wanted, by their index in ``tokens``.
    """

    tokens: NDArray[np.int64]
    begins: NDArray[np.int32]
    past: NDArray[np.int32]
    pages: NDArray[np.int32]
    page_begins: NDArray[np.int32]
    rows: NDArray[np.int32]


def pass_inputs(
    pool: PagePool,
    sequences: Sequence[tuple[PageTable, Sequence[int]]],
    tails: Sequence[int] | None,
    *,
    all_logits: bool,
) -> PassInputs:
    """Make room for the new tokens of all sequences, and return the arrays that describe the pass."""
    begins = np.cumsum([0, *(len(tokens) for _, tokens in sequences)], dtype=np.int32)
    ends = begins[1:]
    if all_logits:
        rows = np.arange(ends[-1], dtype=np.int32)
    elif tails is None:
        rows = ends - 1
    else:
        rows = np.concatenate(
            [np.arange(end - tail, end, dtype=np.int32) for end, tail in zip(ends, tails, strict=True)]
        )
    past = np.array([table.length for table, _ in sequences], np.int32)
    for table, tokens in sequences:
        pool.extend(table, len(tokens))
    return PassInputs(
        tokens=np.concatenate([np.asarray(tokens, np.int64) for _, tokens in sequences]),
        begins=begins,
        past=past,
        pages=np.concatenate([np.asarray(table.pages, np.int32) for table, _ in sequences]),
        page_begins=np.cumsum([0, *(len(table.pages) for table, _ in sequences)], dtype=np.int32),
        rows=rows,
    )
