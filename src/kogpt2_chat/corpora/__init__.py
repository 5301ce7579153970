"""Question-answer pairs in files: the shipped corpora, and datasets that were built."""
