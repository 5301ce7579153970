"""The network in torch: loading, saving, batches and the loss."""

import os

# Read when torch and transformers are loaded, hence here; who sets them otherwise keeps what they set.
# OpenMP's threads spin at every barrier by default, and on a machine where others work too a training step then
# takes four times as long (2 cores, load 5: 2134 ms against 478 ms).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Progress is told through `progress`, and a causal model needs no mask for padding on the right.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
