"""The only home of torch and transformers: how a bot learns and speaks."""
