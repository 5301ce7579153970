"""Facts about this machine: usable cores and memory, full disks, processes and their user."""
