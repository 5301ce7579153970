"""Which version each bot serves: published states, acknowledgements of workers, recovery of a lost state."""
