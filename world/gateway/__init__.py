"""The world's server: sessions, rooms, movement and chat, questions to Kafka and answers back.

``rules`` and ``protocol`` are pure; ``world`` owns the rooms; the modules of the package itself do the I/O.
"""
