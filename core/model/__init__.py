"""Models: backbones, their sites, the deltas attached to sites, and the candidates of a space."""
