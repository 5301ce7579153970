"""Control the workers from commands: publish the state of a bot, read the workers' reports and wait for them."""
