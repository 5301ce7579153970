"""The worker, a daemon that answers players' questions: `python -m serving`."""
