"""The live indexer: from Kafka's records to documents of the search server.

It follows ``conversation_log``, ``feedback`` and the dead letters, writes each record's document at least once, and
then stores how far it is. It never writes to Kafka or the lake.
"""
