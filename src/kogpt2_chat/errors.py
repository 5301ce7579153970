"""The errors of the platform, one class for each action that the caller takes next.

A message states what happened, to what, what was expected and what to do. This module imports nothing.
"""


class KogptChatError(Exception):
    """Base class of all errors that this project raises on purpose."""


class InvalidMessage(KogptChatError):
    """A record cannot be answered, now or later: send it to the dead-letter topic.

    Attributes:
        reason: one of the dead-letter contract's reasons, e.g. ``schema``.
        question_id: the id in the record, if it could be read.
    """

    def __init__(self, reason: str, message: str, question_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.question_id = question_id


class InvalidInput(KogptChatError):
    """A file, setting or argument from the user is unusable: show the message and exit with 2."""


class Unavailable(KogptChatError):
    """A server did not answer in time: try again later."""


class PlanOutdated(KogptChatError):
    """Another process has changed the data that the plan is based on: read it again and make a new plan."""


class AlreadyRunning(KogptChatError):
    """Another process is doing the same work: try again when it has finished."""


class ChangeSuperseded(KogptChatError):
    """A later change by another program is in effect: do not undo it, a person must decide."""


class AlreadyExists(KogptChatError):
    """The object already exists: if an earlier attempt created it, continue."""


class OrdinalTaken(KogptChatError):
    """Another process of this home already has the worker's ordinal: use another one, or exit."""


class Fenced(KogptChatError):
    """Another process has taken this worker's ordinal: exit, and do not restart automatically."""


class GateRefused(KogptChatError):
    """The version did not pass the gate: keep the champion and exit with 3."""


class RecordsLost(KogptChatError):
    """The work is done, but some of its input is permanently lost: notify an operator once and exit with 4."""


class CheckpointCorrupt(KogptChatError):
    """A model version is incomplete or does not match its hashes: use the previous one."""


class NotFound(KogptChatError):
    """The named object does not exist: name another one or create it first."""
