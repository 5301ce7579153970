"""The adapters: each module implements a port, or part of one, on one client library. They contain no decisions."""
