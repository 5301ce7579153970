"""What the platform needs from a server, said in the platform's own words.

One protocol for each server (Kafka twice: plain topics, and the worker's exchange), each with a real
adapter, an in-memory double in :mod:`kogpt2_chat.testing` and one contract suite that runs on both. Jobs
and the worker know these protocols and never a client library.
"""

from kogpt2_chat.ports.kafka import Batch, Exchange, Outgoing, Record, Topics
from kogpt2_chat.ports.lake import Files, Index, Row, Tables
from kogpt2_chat.ports.learning import Alias, ModelVersion, Registry, SparkJobs

__all__ = [
    "Alias", "Batch", "Exchange", "Files", "Index", "ModelVersion", "Outgoing", "Record", "Registry", "Row",
    "SparkJobs", "Tables", "Topics",
]  # fmt: skip
