"""The loop's first half, once a session: version 1 of every bot, trained and rolled out by Airflow."""

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import Settings
from tests.loop import champion_versions, passed_versions, run_dag, until


@pytest.fixture(scope="session")
def speaking_bots(stack_settings: Settings) -> Settings:
    """The stack after ``retrain_bots`` and ``rollout_bots`` have given every bot that passed its first champion."""
    if not any(passed_versions(stack_settings).values()):
        run_dag(stack_settings, "retrain_bots", {"bots": list(BOT_IDS), "force": True})
    passed = passed_versions(stack_settings)
    assert passed["ChatbotA"], "the tiny ChatbotA was refused: the gate's reasons are in the log of its task `evaluate`"
    until(
        lambda: all(champion_versions(stack_settings)[bot] for bot, versions in passed.items() if versions),
        120,
        lambda: f"champions after the rollout: {champion_versions(stack_settings)}, passed: {passed}",
    )
    return stack_settings
