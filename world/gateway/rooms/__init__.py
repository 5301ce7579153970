"""Rooms, seats and what is delivered to them. Pure: no sockets, no Kafka, no clock."""
