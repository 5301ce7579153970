"""Kafka through two client libraries: librdkafka reads the questions, kafka-python does everything else (ADR 0009)."""
