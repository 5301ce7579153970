"""``make demo``: simulated players take the platform once round the whole loop, on real servers."""
