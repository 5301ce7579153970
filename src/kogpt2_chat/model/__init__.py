"""The only home of torch and transformers: how a bot learns and speaks."""

import os

# Read by OpenMP when torch is loaded. By default its threads spin at every barrier, and on a machine where
# others work too a step takes four times as long (2 cores, load 5: 2134 ms against 478 ms).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
