"""The assets that connect the DAGs: new teachings, and each bot's candidate."""

from typing import Final

from airflow.sdk import Asset

from kogpt2_chat.domain.chat.bots import BOT_IDS

CANDIDATE_BY_BOT: Final = {
    bot: Asset(name=bot, uri=f"kogpt2://registry/{bot}/candidate", group="candidates") for bot in BOT_IDS
}
"""Asset of each bot, updated when a version has passed the gate. Its event contains bot and version."""
TEACHINGS: Final = Asset(name="teachings", uri="kogpt2://lake/teachings", group="lake")
"""Asset that ingest updates when it stores new feedback. Its event contains the number of rows."""
