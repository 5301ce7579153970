"""The daemon that answers: `python -m serving`."""
