"""The tables of the lake: their columns and rows, and the quarantine for records that do not fit them."""
