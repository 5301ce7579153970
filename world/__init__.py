"""The virtual world: the gateway that players connect to, and the client that runs in their browsers."""
