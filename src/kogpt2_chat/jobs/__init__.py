"""One verb, one file: each joins pure decisions with ports."""
