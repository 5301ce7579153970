"""How a version answers: engines, the scheduler they share, and what takes over where a version is unsure.

Imports neither torch nor training.
"""
