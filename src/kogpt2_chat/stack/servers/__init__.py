"""One module a server: its configuration texts and the programs to run, as pure functions of the settings."""
