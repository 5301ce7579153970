"""Doubles shipped with the library: in memory, and held to the same contract suites as the real servers."""
