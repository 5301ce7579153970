"""What the operators' pages need from the search server, as a protocol."""

from collections.abc import Mapping
from typing import Protocol

from kogpt2_chat.dashboards.periods import Period
from kogpt2_chat.dashboards.turns import TurnFilter

Json = Mapping[str, object]


class Panels(Protocol):
    """The panels and the search server behind them. All methods but ``definition`` block.

    Raises:
        Unavailable: the search server does not answer.
        NotFound: there is no such panel.
    """

    def definition(self) -> Json:
        """Return what the page needs to draw the panels, without data."""
        ...

    def panel(self, panel_id: str, period: Period) -> Json:
        """Return a panel's data."""
        ...

    def turns(self, wanted: TurnFilter) -> Json:
        """Return single turns as a table, the newest first."""
        ...
