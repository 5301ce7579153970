"""Pure decisions about servers: addresses, proxy settings, start-up and progress messages."""
