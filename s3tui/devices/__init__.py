"""The GPUs and cores of this machine, and which run holds which."""
