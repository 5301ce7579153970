"""The serving engine against other engines for text on CPUs: the same weights, prompts and load for all."""
