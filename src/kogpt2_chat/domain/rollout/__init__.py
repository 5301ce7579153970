"""Which version each bot speaks with: states, acknowledgements, recovery."""
