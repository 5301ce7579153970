"""What this machine is and allows: cores, memory, disk, its processes and who runs them."""
