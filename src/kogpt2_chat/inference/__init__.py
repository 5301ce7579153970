"""How a version answers: engines, the scheduler they share, and the answers that replace an unlikely one.

Imports neither torch nor training.
"""
