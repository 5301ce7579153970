"""Benchmark of the virtual world's gateway; see :mod:`benchmarks.world.__main__`."""
