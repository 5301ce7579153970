"""Kafka through two clients: kafka-python writes and administers, librdkafka reads questions (ADR 0009)."""
