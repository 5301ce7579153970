"""Question-answer pairs in files: the shipped corpora, and built datasets."""
