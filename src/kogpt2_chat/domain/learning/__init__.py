"""What bots learn: pairs, datasets, and where an answer came from."""
