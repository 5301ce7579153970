"""The weights that a training starts from, as commands, DAGs and runs name them."""

from typing import Literal

StartWeights = Literal["from_base", "from_champion"]
