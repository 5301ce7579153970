"""Training data: pairs, cleaning, datasets, imported corpora, and explanations of stored answers."""
