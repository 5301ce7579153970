"""Benchmarks of the serving worker with models of KoGPT2's size; `make bench` runs all of them."""
