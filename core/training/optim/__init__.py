"""Optimisers whose state is plain tensors, for bit-for-bit checkpoints."""
