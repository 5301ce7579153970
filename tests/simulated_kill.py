"""The exception with which tests simulate the end of a process."""


class SimulatedKill(BaseException):
    """Simulates kill -9: only the test catches it."""
