"""How good a version is: its answers, its likelihoods, its agreement with fp32. Measures and does not decide."""

import kogpt2_chat.network  # noqa: F401 - sets what torch reads when it is loaded
