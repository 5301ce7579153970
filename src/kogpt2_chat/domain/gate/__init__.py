"""The gate: decides whether a version may become the bot's candidate for rollout."""
