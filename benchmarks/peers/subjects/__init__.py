"""What is measured: one module per library, run by that library's own Python."""
