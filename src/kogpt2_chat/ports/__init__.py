"""What the platform needs from each server, as protocols in the platform's own terms.

One protocol per server; Kafka has three: topics, a follower of them, and the worker's transactional consumer. Each has
a real adapter, a test double in :mod:`kogpt2_chat.testing`, and a contract suite that runs on both. Jobs and the worker
depend on these protocols and never on a client library.
"""

from kogpt2_chat.ports.kafka import (
    Assignment,
    Batch,
    Follower,
    GroupMember,
    Outgoing,
    PublishResult,
    Record,
    Topics,
    TransactionalConsumer,
)
from kogpt2_chat.ports.lake import Files, Partition, Row, TableChanges, Tables
from kogpt2_chat.ports.learning import Alias, ModelVersion, Registry, SparkJobs, TrainingRun
from kogpt2_chat.ports.search import Documents, Index, PutResult, Refusal, Search

__all__ = [
    "Alias", "Assignment", "Batch", "Documents", "Files", "Follower", "GroupMember", "Index", "ModelVersion",
    "Outgoing", "Partition", "PublishResult", "PutResult", "Record", "Refusal", "Registry", "Row", "Search",
    "SparkJobs", "TableChanges", "Tables", "Topics", "TrainingRun", "TransactionalConsumer",
]  # fmt: skip
