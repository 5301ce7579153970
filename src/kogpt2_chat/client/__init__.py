"""The player's side of Kafka: send questions, match their answers, send feedback."""
