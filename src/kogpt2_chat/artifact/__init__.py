"""The parts of a version's folder: card, tokenizer, weights and graph. Imports neither torch nor an engine."""
