"""Training of a bot: its base model, the choice of pairs, and the training loop."""

import kogpt2_chat.network  # noqa: F401 - sets variables that torch reads on import
