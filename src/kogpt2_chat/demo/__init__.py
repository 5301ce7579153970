"""``make demo``: simulated players take the platform through the whole loop once, on real servers."""
