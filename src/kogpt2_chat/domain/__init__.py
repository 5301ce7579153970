"""Pure decisions: the standard library only, no input or output, nothing but values in and out."""
