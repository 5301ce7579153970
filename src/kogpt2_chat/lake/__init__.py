"""Code for reading and writing the lake that several jobs share."""
