"""The error for a request that breaks a rule. Its reason is a code that the client shows in the player's language."""

from typing import Literal

Reason = Literal[
    "name_length", "name_characters", "name_reserved", "name_taken", "session", "origin", "too_many_ids", "room_full",
    "room_unknown", "too_fast", "muted", "banned", "busy", "already_asking", "text_length", "text_empty", "not_here",
    "not_yours", "unavailable", "message",
]  # fmt: skip


class Refused(Exception):
    """A player's request breaks a rule.

    Args:
        reason: the rule, as a code of the protocol.
        detail: what was expected, for a developer who reads a log; contains nothing that a player wrote.
        wait_s: how long to wait before the next try; 0 if waiting does not help.
    """

    def __init__(self, reason: Reason, detail: str, wait_s: float = 0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.wait_s = wait_s
