"""Show where the answer of a turn came from, without loading a model."""

from collections.abc import Callable

from kogpt2_chat.domain.learning.lineage import Lineage
from kogpt2_chat.lake.find_turn import find_turn
from kogpt2_chat.lake.trace_turn import Sources, trace_turn
from kogpt2_chat.ports import Topics


def lineage(
    *, turn_id: str, topics: Topics, sources: Sources, progress: Callable[[str], None] = lambda _: None
) -> Lineage:
    """Find a turn, and trace its answer to the version, its training and the rows that it learned.

    Args:
        turn_id: ``bot_question-PARTITION-OFFSET``.
        topics: Kafka, for turns that are not in the search index.
        sources: all other servers.
        progress: called with a line on each step.

    Returns:
        The lineage. Its notes say what is missing, and why.

    Raises:
        InvalidInput: this is not a turn id, or the turn may be about a crisis.
        NotFound: neither Kafka nor the index has the turn.
        Unavailable: the server that may have the turn does not answer.
    """
    progress(f"looking for {turn_id}")
    found = find_turn(turn_id, topics, sources.index, sources.settings.kafka.ingest_batch, index_first=True)
    progress(f"tracing {found.turn.bot} version {found.turn.model_version}")
    return trace_turn(found, sources)
