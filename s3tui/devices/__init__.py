"""GPUs and CPU cores of this machine, and their allocation to runs."""
