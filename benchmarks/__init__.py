"""Measurements of the serving worker, at full KoGPT2 size; `make bench` runs them all."""
