"""Detection of questions that may be about a crisis, and the vetted answers to them."""
