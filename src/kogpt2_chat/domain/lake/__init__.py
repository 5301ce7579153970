"""What the lake's tables hold, and what becomes of records that do not fit."""
