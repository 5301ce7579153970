"""The messages between a client and the gateway: JSON for everything but movement, which uses binary frames."""
