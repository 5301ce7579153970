"""One module per server: its configuration texts and its programs, as functions of the settings."""
