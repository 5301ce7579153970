"""All workers seen from outside: what they were told, what they report, and how to tell them more."""
