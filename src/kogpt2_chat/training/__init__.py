"""How a bot learns: its base, what it is shown, and the fit itself."""

import kogpt2_chat.network  # noqa: F401 - sets what torch reads when it is loaded
