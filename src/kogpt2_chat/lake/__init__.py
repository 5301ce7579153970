"""What several jobs share of reading and writing the lake."""
