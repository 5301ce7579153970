"""The errors of the platform, named by what the caller does next.

A message says what happened, to which thing, what was expected and what to do about it. This module
imports nothing.
"""


class KogptChatError(Exception):
    """Root of everything this project raises on purpose."""


class InvalidMessage(KogptChatError):
    """A record that can never be answered: send it to the dead letters.

    Attributes:
        reason: one of the reasons of the dead letter contract, e.g. ``schema``.
        question_id: the id the record carries, where one could be read.
    """

    def __init__(self, reason: str, message: str, question_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.question_id = question_id


class InvalidInput(KogptChatError):
    """A file, setting or argument a person gave is unusable: show the message, exit 2."""


class Unavailable(KogptChatError):
    """A server did not answer, or not in time: try again later."""


class Conflict(KogptChatError):
    """Somebody else already did this very work: it is done, carry on."""


class Fenced(Conflict):
    """Another process has taken this one's place: end, and do not start again by yourself."""


class GateRefused(KogptChatError):
    """The candidate did not pass the gate: keep the champion, exit 3."""


class RecordsLost(KogptChatError):
    """The work is done, and something that it should have found is gone for good: tell an operator once, exit 4."""


class CheckpointCorrupt(KogptChatError):
    """A model version is incomplete or not what its hashes promise: take the previous one."""


class NotFound(KogptChatError):
    """The named thing does not exist: name another, or make it first."""
