"""One client library each, behind a port. Nothing here decides anything."""
