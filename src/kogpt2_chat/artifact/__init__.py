"""What a version is: a folder with a card, a tokenizer, weights and a graph. Imports neither torch nor an engine."""
