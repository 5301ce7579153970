"""Measure how good a version is: its answers, its likelihoods, its agreement with fp32. The gate decides, not this."""

import kogpt2_chat.network  # noqa: F401 - sets what torch reads when it is loaded
