"""Measure how good a version is: its answers, its likelihoods, its agreement with fp32. The gate decides."""

import kogpt2_chat.network  # noqa: F401 - sets variables that torch reads on import
