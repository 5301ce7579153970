"""The workers as seen from outside: the states published to them, their reports, and how to publish new states."""
