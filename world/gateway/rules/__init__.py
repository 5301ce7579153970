"""What a player may do: names, movement, rates. Pure functions and small state machines; the caller passes the time."""
