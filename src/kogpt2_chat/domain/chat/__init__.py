"""Bots, questions, answers and turns: the contract with players."""
