"""A stack on which Airflow has trained and rolled out the bots' first versions, once per session."""

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import Settings
from tests.loop import champion_versions, passed_versions, run_dag, wait_until


@pytest.fixture(scope="session")
def trained_stack(stack_settings: Settings) -> Settings:
    """The stack after ``retrain_bots`` and ``rollout_bots``: each bot whose version passed the gate has a champion."""
    if not any(passed_versions(stack_settings).values()):
        run_dag(stack_settings, "retrain_bots", {"bots": list(BOT_IDS), "force": True})
    passed = passed_versions(stack_settings)
    assert passed["ChatbotA"], "the gate refused ChatbotA: its reasons are in the log of the task `evaluate`"
    wait_until(
        lambda: all(champion_versions(stack_settings)[bot] for bot, versions in passed.items() if versions),
        120,
        lambda: f"champions after the rollout: {champion_versions(stack_settings)}, passed: {passed}",
    )
    return stack_settings
