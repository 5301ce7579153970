"""Stepping an engine until no request is in flight."""

from kogpt2_chat.inference.drain import drain
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel


def engine_with(**steps_by_id):
    """Return an engine with a request per keyword, which takes that number of steps."""
    engine = ScriptedEngine()
    engine.steps_by_id = steps_by_id
    for request_id in steps_by_id:
        engine.add_request(request_id, ScriptedModel(label="1"), [1])
    return engine


def test_all_requests_are_returned_in_the_order_in_which_they_finish():
    """None remains in flight."""
    engine = engine_with(slow=5, fast=1, late=5)
    assert [done.request_id for done in drain(engine)] == ["fast", "slow", "late"]
    assert engine.in_flight == 0


def test_an_idle_engine_returns_nothing():
    """It is not stepped, with or without a limit."""
    assert drain(ScriptedEngine()) == drain(ScriptedEngine(), max_steps=3) == []


def test_after_the_limit_unfinished_requests_stay_in_flight():
    """They are missing in the result."""
    engine = engine_with(slow=5, fast=2)
    assert [done.request_id for done in drain(engine, max_steps=4)] == ["fast"]
    assert engine.in_flight == 1
    assert [done.request_id for done in drain(engine)] == ["slow"]
