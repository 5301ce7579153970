"""The player's side of Kafka: send questions, wait for answers, send feedback."""
