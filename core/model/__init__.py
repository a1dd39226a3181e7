"""What is trained: backbones, their sites, the deltas at them, and the space of candidates."""
