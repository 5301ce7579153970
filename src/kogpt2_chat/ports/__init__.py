"""What the platform needs from a server, in the platform's own words.

One protocol per server (two for Kafka: plain topics, and the worker's transactional consumer). Each has a real
adapter, an in-memory double in :mod:`kogpt2_chat.testing` and one contract suite that runs on both. Jobs and the
worker know these protocols and never a client library.
"""

from kogpt2_chat.ports.kafka import Assignment, Batch, Outgoing, PublishResult, Record, Topics, TransactionalConsumer
from kogpt2_chat.ports.lake import Files, Index, Row, Tables
from kogpt2_chat.ports.learning import Alias, ModelVersion, Registry, SparkJobs

__all__ = [
    "Alias", "Assignment", "Batch", "Files", "Index", "ModelVersion", "Outgoing", "PublishResult", "Record",
    "Registry", "Row", "SparkJobs", "Tables", "Topics", "TransactionalConsumer",
]  # fmt: skip
