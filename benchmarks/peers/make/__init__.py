"""Write the weights in each library's format; each module is run by that library's own Python."""
