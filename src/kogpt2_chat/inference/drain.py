"""Run an engine until it has no requests left."""

from itertools import count

from kogpt2_chat.inference.engine import Engine, Finished


def drain(engine: Engine, *, max_steps: int | None = None) -> list[Finished]:
    """Step an engine until every request is finished.

    Args:
        engine: the engine.
        max_steps: most steps; None: no limit.

    Returns:
        The finished requests, in the order in which they finished; incomplete if ``max_steps`` was reached.
    """
    finished: list[Finished] = []
    for _ in count() if max_steps is None else range(max_steps):
        if not engine.in_flight:
            break
        finished += engine.step()
    return finished
