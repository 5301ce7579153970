"""The player's side of Kafka: ask, wait for answers, say what one thinks of them."""
