"""The gate: whether a version may speak."""
