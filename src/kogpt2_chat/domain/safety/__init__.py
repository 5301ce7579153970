"""Texts that may speak of a crisis, and what is said then."""
